"""The published cases of others: ONNX's node tests, and SciPy's, restated."""

import numpy as np
import pytest

import fastsoftmax as fs


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")  # of the generator of the cases
def test_onnx_node_cases():
    """All of softmax_*, logsoftmax_* and sce_* of the ONNX standard."""
    pytest.importorskip("onnx", reason="ONNX is not installed")
    from onnx.backend.test.loader import load_model_tests

    kinds = ("test_softmax_", "test_logsoftmax_", "test_sce_")
    cases = [c for c in load_model_tests(kind="node") if c.name.startswith(kinds)]
    cases = [c for c in cases if "expanded" not in c.name]
    assert len(cases) == 48
    if cases[0].model is None:
        pytest.skip("this version of ONNX keeps its cases in files")
    for case in cases:
        (node,) = case.model.graph.node
        attributes = {a.name: a for a in node.attribute}
        for inputs, outputs in case.data_sets:
            check_onnx_case(case.name, node, attributes, inputs, outputs)


def check_onnx_case(name, node, attributes, inputs, outputs):
    if node.op_type in ("Softmax", "LogSoftmax"):
        axis = attributes["axis"].i if "axis" in attributes else -1
        operation = fs.softmax if node.op_type == "Softmax" else fs.log_softmax
        np.testing.assert_allclose(
            operation(inputs[0], axis), outputs[0], rtol=1e-5, atol=1e-7, err_msg=name
        )
        return
    options = {"reduction": attributes["reduction"].s.decode()}
    if "ignore_index" in attributes:
        options["ignore_index"] = attributes["ignore_index"].i
    if len(inputs) > 2:
        options["weight"] = inputs[2]
    loss = fs.cross_entropy(inputs[0], inputs[1], axis=1, **options)
    np.testing.assert_allclose(loss, outputs[0], rtol=1e-5, err_msg=name)
    if len(outputs) > 1:
        np.testing.assert_allclose(
            fs.log_softmax(inputs[0], 1), outputs[1], rtol=1e-5, atol=1e-6, err_msg=name
        )


def test_softmax_fixtures(implementation):
    np.testing.assert_array_equal(fs.softmax([1000.0, 0, 0, 0]), [1, 0, 0, 0])
    np.testing.assert_allclose(fs.softmax([1.0, 1.0]), [0.5, 0.5], rtol=1e-15)
    np.testing.assert_allclose(fs.softmax([0.0, 1.0]), np.array([1, np.e]) / (1 + np.e), rtol=1e-15)
    x = np.arange(4.0)
    want = [0.03205860328008499, 0.08714431874203256, 0.23688281808991013, 0.6439142598879722]
    np.testing.assert_allclose(fs.softmax(x), want, rtol=1e-15)
    np.testing.assert_allclose(fs.softmax(x + 100), want, rtol=1e-15)
    np.testing.assert_allclose(
        fs.softmax(x.reshape(2, 2), None), np.reshape(want, (2, 2)), rtol=1e-15
    )


def test_softmax_over_several_axes(implementation):
    x = np.array([[[-25, 0, 25], [0, 0, 0]], [[1, 2, 3], [4, 5, 6]]], float)
    for axis in ((1, 2), (-2, -1), (0, 2), None):
        axes = tuple(range(3)) if axis is None else axis
        want = np.exp(x) / np.exp(x).sum(axes, keepdims=True)
        np.testing.assert_allclose(fs.softmax(x, axis), want, rtol=1e-14)


def test_log_softmax_fixtures(implementation):
    np.testing.assert_array_equal(fs.log_softmax([1000.0, 1.0]), [0, -999])
    x = np.arange(4.0)
    want = [-3.4401896985611953, -2.4401896985611953, -1.4401896985611953, -0.44018969856119533]
    for shift in (0, 100):
        np.testing.assert_allclose(fs.log_softmax(x + shift), want, rtol=1e-14)
    np.testing.assert_array_equal(
        fs.log_softmax([[1000.0, 0], [0, 1000]]), [[0, -1000], [-1000, 0]]
    )


def test_logsumexp_fixtures(implementation):
    a = np.arange(200.0)
    assert fs.logsumexp(a) == pytest.approx(199.45867514538708, rel=1e-15)
    b = [1000.0, 1000.0]
    assert fs.logsumexp(b) == pytest.approx(1000 + np.log(2), rel=1e-15)
    n = 1000
    assert fs.logsumexp(np.full(n, 10000.0)) == pytest.approx(10000 + np.log(n), rel=1e-15)
    x = np.array([[1e-40] * 3, [1e-10] * 3])
    np.testing.assert_allclose(fs.logsumexp(np.log(x), -1), np.log(3 * x[:, 0]), rtol=1e-14)
    assert fs.logsumexp([np.inf, -np.inf]) == np.inf
    assert fs.logsumexp([-np.inf, -np.inf]) == -np.inf
    assert np.isnan(fs.logsumexp([np.nan, np.inf]))
    assert fs.logsumexp([]) == -np.inf
    assert fs.logsumexp(np.zeros((2, 3)), None, keepdims=True).shape == (1, 1)


def test_probabilities_of_1e_185(implementation):
    p = fs.softmax([0.0, -426.0])
    assert p[1] == pytest.approx(np.exp(-426.0), rel=1e-14)
    assert 0 < p[1] < 1e-184
