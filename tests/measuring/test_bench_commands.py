"""The commands of bench/: what they accept, share and judge. Nothing depends on how long anything takes."""

import importlib
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

main = pytest.importorskip("bench.__main__", reason="bench/ is not here")
import fastsoftmax as fs  # noqa: E402
from fastsoftmax import _compiled  # noqa: E402

if not _compiled.IS_COMPILED:
    pytest.skip("bench measures the compiled package", allow_module_level=True)
from bench import form_cases, forms, guard, options, peers, torch_losses, training, workers  # noqa: E402


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as done:
        main.main([command, "--help"])
    assert done.value.code == 0
    assert main.module_of(command).__doc__.partition("\n")[0] in capsys.readouterr().out


def test_builds_measures_another_interpreter(capsys):
    assert main.main(["builds", sys.executable, "--small", "--shape", "3x4"]) == 0
    printed = capsys.readouterr().out
    for operation in ("softmax", "log_softmax", "cross_entropy", "cross_entropy_with_grad"):
        assert re.search(rf"^{operation}( \*)? +3 x 4 ", printed, re.MULTILINE)
    assert f"other build {fs.__version__}" in printed
    assert f"both import {fs.__file__}" in printed


def test_builds_leaves_the_other_interpreter_its_own_package(tmp_path, monkeypatch, capsys):
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\necho "[$PYTHONPATH]" >> {tmp_path}/seen\n'
        f'PYTHONPATH="{Path(fs.__file__).parents[1]}" exec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "nothing"))
    assert main.main(["builds", str(python), "--small", "--shape", "3x4"]) == 0
    assert set((tmp_path / "seen").read_text().split()) == {"[]"}


def test_builds_tells_what_another_interpreter_lacks(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"No module named 'fastsoftmax'\" >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(SystemExit, match="No module named 'fastsoftmax'"):
        main.main(["builds", str(python), "--small"])


@pytest.mark.parametrize("command", ["dask-scaling", "dask-averaging"])
def test_commands_on_dask_are_left_out_by_name(command, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main.main([command, "--small"]) == 0
    assert f"{command} is left out: " in capsys.readouterr().out


def test_unknown_options_are_refused(capsys):
    with pytest.raises(SystemExit) as done:
        main.main(["guard", "--nothing"])
    assert done.value.code == 2
    assert "--nothing" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["10", "0x3", "axb", "3x"])
def test_shapes_are_checked(text, capsys):
    with pytest.raises(SystemExit):
        main.main(["table", "--shape", text])
    assert f"expected ROWSxCLASSES, got {text!r}" in capsys.readouterr().err


def measured(disturbed):
    return lambda seconds: {"seconds": seconds, "disturbed": list(disturbed)}


def test_a_budget_shares_seconds_between_rows():
    budget = options.Budget(12.0, 4, tries=3)
    assert budget.measure(measured([]))["seconds"] == 3.0


def test_a_budget_repeats_only_while_it_can():
    budget = options.Budget(8.0, 4, tries=3)
    how = {"sleep": lambda seconds: None, "tell": lambda text: None}
    tries = [budget.measure(measured(["noise"]), **how)["tries"] for _ in range(4)]
    assert tries == [3, 1, 1, 1]  # half of eight seconds is two more tries of two


def test_guard_measures_a_slow_row_again():
    shares = iter([0.9, 0.8, 0.3])

    def once():
        return {"peers": {"NumPy": {"ratio": 1 / next(shares)}}}

    assert guard.share_of(guard.best_of(once, bound=0.5)) == pytest.approx(0.3)
    assert next(shares, None) is None


def test_guard_stops_at_the_first_good_row_and_gives_up_in_the_end():
    rows = iter([{"peers": {"NumPy": {"ratio": 4.0}}}])
    assert not guard.is_over(guard.best_of(lambda: next(rows), bound=0.5))
    bad = {"peers": {"NumPy": {"ratio": 1.0}}}
    assert guard.is_over(guard.best_of(lambda: bad, bound=0.5))


@pytest.fixture
def worker():
    made = workers.Worker(dict, {"a": 1}, environment={"BENCH_TESTS": "set"})
    yield made
    made.close()


def test_a_worker_answers_and_keeps_its_state(worker):
    assert worker.ask("get", "a") == 1
    worker.ask("update", {"b": 2})
    assert sorted(worker.ask("copy")) == ["a", "b"]
    assert worker.pid != os.getpid()
    assert "BENCH_TESTS" not in os.environ


def test_a_worker_raises_what_its_object_raises(worker):
    with pytest.raises(KeyError):
        worker.ask("pop", "nothing")
    assert worker.ask("get", "a") == 1


def test_a_worker_starts_with_its_environment():
    made = workers.Worker(importlib.import_module, "os", environment={"BENCH_TESTS": "set"})
    try:
        assert made.ask("getenv", "BENCH_TESTS") == "set"
    finally:
        made.close()


def test_a_missing_library_is_an_import_error():
    with pytest.raises(ModuleNotFoundError, match="no_such_library") as raised:
        workers.Worker(importlib.import_module, "no_such_library")
    assert raised.value.name == "no_such_library"


def test_an_end_is_told():
    made = workers.Worker(importlib.import_module, "os")
    with pytest.raises(workers.WorkerError, match="ended with 7"):
        made.ask("_exit", 7)


def test_a_peer_that_is_missing_is_named(monkeypatch):
    class Missing(peers.PyTorch):
        name = distribution = "missing"

    def refuse(kind):
        raise ModuleNotFoundError(name="missing")

    monkeypatch.setattr(peers, "HERE", peers.HERE[:3])
    monkeypatch.setattr(peers, "APART", (Missing,))
    monkeypatch.setattr(peers, "SubjectApart", refuse)
    subjects, absent = peers.start()
    assert [one.name for one in subjects] == ["fastsoftmax", "fastsoftmax, 1 thread", "NumPy"]
    assert absent == {"missing": "not installed: pip install missing"}


FORMS = [pytest.param(n, id=f"{f.function} {f.name}") for n, f in enumerate(forms.FORMS)]


def test_forms_cover_every_function_with_kernels():
    public = {name for name in fs.__all__ if callable(getattr(fs, name)) and name[0].islower()}
    others = {
        "backend_info", "get_num_threads", "set_num_threads", "set_result_pool", "use_backend",
        "sampled_softmax_cross_entropy", "sampled_softmax_cross_entropy_with_grad",
    }  # fmt: skip
    assert {form.function for form in forms.FORMS} == public - others
    names = [(form.function, form.name) for form in forms.FORMS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("number", FORMS)
def test_our_forms_can_be_called(number):
    arrays = form_cases.Arrays(6, 7)
    got = forms.FORMS[number].ours(arrays)()
    parts = got if isinstance(got, tuple) else (got,)
    assert not any(np.isnan(part).any() for part in parts if part is not None)


@pytest.mark.peer
@pytest.mark.parametrize("number", FORMS)
def test_forms_agree_with_pytorch(number):
    pytest.importorskip("torch")
    arrays = form_cases.Arrays(9, 11)
    ours, theirs = forms.Library("fastsoftmax"), forms.Library("PyTorch")
    for library in (ours, theirs):
        library.prepare(number, (9, 11))
    forms.compare(forms.FORMS[number].name, ours.results(), theirs.results())
    assert arrays.x.shape == (9, 11)


def test_forms_that_differ_are_not_timed():
    with pytest.raises(AssertionError, match="softmax"):
        forms.compare("softmax", [np.float32([1.0, 2.0])], [np.float32([1.0, 2.1])])
    with pytest.raises(AssertionError, match="1 results, PyTorch has 2"):
        forms.compare("softmax", [np.zeros(1)], [np.zeros(1)] * 2)


def test_images_are_made_where_there_are_none(monkeypatch):
    monkeypatch.delenv("FASTSOFTMAX_DATA", raising=False)
    X, y, origin = training.load_images(50)
    assert (X.shape, X.dtype, y.shape) == ((50, 784), np.uint8, (50,))
    assert "made images" in origin


@pytest.mark.parametrize(
    ("text", "hidden"), [("linear", ()), ("128", (128,)), ("512,256", (512, 256))]
)
def test_networks_by_name(text, hidden):
    assert training.net(text) == hidden


class Learner:
    """A trainer whose epochs take given seconds, by no clock."""

    pid = None

    def __init__(self, seconds, accuracy=0.9):
        self._seconds, self._accuracy = seconds, accuracy

    def prepare(self, case, n_images):
        pass

    def turn(self):
        return self._seconds

    def accuracy(self):
        return self._accuracy


def test_training_rows_compare_those_who_have_the_model():
    trainers = {
        "fastsoftmax": Learner(1.0),
        "fastsoftmax, 1 thread": Learner(1.5),
        "PyTorch": Learner(4.0),
        "scikit-learn": Learner(9.0),
    }
    row = training.measure(trainers, training.Case((), 32, "adam"), 1000, 0.0)
    assert set(row["peers"]) == {"PyTorch"}
    assert row["peers"]["PyTorch"]["ratio"] == pytest.approx(4.0)
    assert row["peers"]["PyTorch"]["accuracy"] == 0.9
    assert (row["hidden"], row["batch_size"], row["images"]) == ("none", 32, 1000)


def test_who_has_not_learnt_is_an_error():
    trainers = {"fastsoftmax": Learner(1.0), "PyTorch": Learner(1.0, accuracy=0.1)}
    with pytest.raises(AssertionError, match="PyTorch has not learnt"):
        training.measure(trainers, training.Case((8,), 32, "sgd"), 1000, 0.0)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.compile
@pytest.mark.filterwarnings("ignore::FutureWarning:torch")
@pytest.mark.parametrize("shape", [(16, 10), (16, 4, 30)])
def test_losses_of_tensors_agree(shape):
    pytest.importorskip("torch")
    losses = torch_losses.Losses()
    assert losses.prepare(shape, False) in ("cross_entropy", "linear_cross_entropy")
    assert losses.names() == [torch_losses.OURS, torch_losses.PEER]
    assert all(losses.turn(name) > 0 for name in losses.names())


def test_a_row_of_memory_is_told_in_megabytes():
    peers_of_row = {torch_losses.PEER: {"megabytes": 200.0}}
    row = {"megabytes": 50.0, "peers": peers_of_row}
    assert torch_losses.LAYOUT.ours(row) == "50.0 MB"
    assert torch_losses.LAYOUT.cell(row, torch_losses.PEER) == "200 MB (0.25)"
    assert torch_losses.LAYOUT.cell(row, torch_losses.HUGE) == "-"
