"""`fastsoftmax info`."""

import numpy

import fastsoftmax


def test_facts(run):
    outcome = run("info")
    assert (outcome.code, outcome.err) == (0, "")
    facts = fastsoftmax.backend_info()
    for word in (facts["version"], facts["isa"], facts["backend"], facts["threads_reason"]):
        assert str(word) in outcome.out
    for name in (*facts["backends"], *facts["isas"], "FASTSOFTMAX_DATA: not set", "mnist: "):
        assert name in outcome.out


def test_json(run):
    facts = run("info", "--json").json
    assert facts["version"] == fastsoftmax.__version__
    assert facts["backends"][facts["backend"]] == "loaded"
    assert facts["threads"] == fastsoftmax.get_num_threads()
    assert set(facts["data"]) == {"FASTSOFTMAX_DATA", "fashion-mnist", "mnist"}
    assert facts["machine"]["cpu"]


def test_incomplete_data_folder_is_told(run, monkeypatch, tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"")
    monkeypatch.setenv("FASTSOFTMAX_DATA", str(tmp_path))
    outcome = run("info")
    assert outcome.code == 0
    assert "lacks train-labels-idx1-ubyte.gz" in outcome.out


def test_a_report_to_paste(run, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS_OF_TEST", "3")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("FASTSOFTMAX_DATA", "/home/somebody/data")
    out = run("info", "--markdown").out
    assert out.startswith("<details>")
    assert out.count("```") == 2
    assert "OMP_NUM_THREADS_OF_TEST: 3" in out
    assert "FASTSOFTMAX_DATA: ~/data" in out
    assert "somebody" not in out
    assert f"numpy: {numpy.__version__}" in out
