"""The compiled kernels against the NumPy specification."""

import needs
import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax.estimators import _compiled
from fastsoftmax.estimators._compiled import CompiledLinear, logits_of
from fastsoftmax.estimators._data import Rows, Split
from fastsoftmax.estimators._full_batch import NumpySum
from fastsoftmax.estimators._losses import LogisticLoss, SoftmaxLoss
from fastsoftmax.estimators._network import glorot_network
from fastsoftmax.estimators._state import OptimizerState
from fastsoftmax.estimators._steps import NumpyStep, Rule

pytestmark = needs.compiled

TOLERANCE = {np.dtype("float32"): 2e-4, np.dtype("float64"): 1e-10}


def make_problem(dtype, n_rows, n_features, n_outputs, logistic, weighted, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 1, (n_rows, n_features))
    X = (255 * X).astype(np.uint8) if dtype == np.uint8 else X.astype(dtype)
    rows = Rows(X, 1 / 255 if dtype == np.uint8 else 1.0)
    if logistic:
        targets = rng.integers(0, 2, (n_rows, n_outputs)).astype(np.uint8)
    else:
        targets = rng.integers(0, n_outputs, n_rows).astype(np.int32)
    weights = rng.integers(0, 3, n_rows).astype(float) if weighted else None
    return rows, targets, weights


def both_steps(problem, sizes, loss, rule, batch_size):
    rows, targets, weights = problem
    network = glorot_network(sizes, rows.dtype, np.random.default_rng(1))
    state = OptimizerState.zeros(network)
    arguments = (network, state, rows, targets, weights, loss, rule, batch_size)
    return _compiled.FusedStep(_compiled.kernels(), *arguments), NumpyStep(*arguments)


def assert_same(fused, numpy):
    tolerance = TOLERANCE[numpy.network.dtype]
    pairs = [
        (fused.network.arrays, numpy.network.arrays),
        (fused.optimizer.first, numpy.optimizer.first),
        (fused.optimizer.second, numpy.optimizer.second),
    ]
    assert fused.optimizer.step == numpy.optimizer.step
    for mine, theirs in pairs:
        for one, other in zip(mine, theirs, strict=True):
            scale = np.abs(other).max() or 1
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_fused_step_is_the_numpy_step(dtype, solver, logistic, weighted):
    problem = make_problem(dtype, 150, 53, 5, logistic, weighted)
    loss = (LogisticLoss if logistic else SoftmaxLoss)(0.1 if weighted else 0.0)
    rule = Rule(solver, epsilon=1e-3, decay=0.01)
    fused, numpy = both_steps(problem, (53, 37, 5), loss, rule, 32)
    order = np.random.default_rng(2).permutation(150)
    for block in (order[:64], order[64:]):
        np.testing.assert_allclose(fused.run(block, 0.01), numpy.run(block, 0.01), rtol=1e-4)
    assert_same(fused, numpy)


@pytest.mark.parametrize("n_features", [1, 2, 48, 95, 96, 97])
@pytest.mark.parametrize("n_hidden", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("batch_size", [1, 7, 33])
def test_fused_step_serves_every_shape(n_features, n_hidden, batch_size):
    problem = make_problem(np.float64, 40, n_features, 3, False, False)
    fused, numpy = both_steps(
        problem, (n_features, n_hidden, 3), SoftmaxLoss(), Rule("sgd"), batch_size
    )
    order = np.random.default_rng(3).permutation(40)
    np.testing.assert_allclose(fused.run(order, 0.1), numpy.run(order, 0.1), rtol=1e-9)
    assert_same(fused, numpy)


@pytest.mark.parametrize("n_outputs", [1, 2, 3, 17, 100])
def test_fused_step_serves_every_number_of_outputs(n_outputs):
    problem = make_problem(np.float64, 40, 20, n_outputs, n_outputs == 1, False)
    loss = LogisticLoss() if n_outputs == 1 else SoftmaxLoss()
    fused, numpy = both_steps(problem, (20, 16, n_outputs), loss, Rule("sgd"), 8)
    order = np.arange(40)
    np.testing.assert_allclose(fused.run(order, 0.1), numpy.run(order, 0.1), rtol=1e-9)
    assert_same(fused, numpy)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("batch_size", [1, 32, 100, 300, 1000])
@pytest.mark.parametrize("hidden", [(), (40,), (33, 70), (200, 5), (5, 6, 7, 8)])
def test_compiled_step_serves_every_depth_and_batch(dtype, hidden, batch_size, solver):
    n_rows = 20 if batch_size == 1 else 330
    problem = make_problem(dtype, n_rows, 37, 3, False, True)
    rule = Rule(solver, epsilon=0.1, decay=0.01)  # Adam divides rounding errors by epsilon
    fused, numpy = both_steps(problem, (37, *hidden, 3), SoftmaxLoss(0.1), rule, batch_size)
    order = np.random.default_rng(3).permutation(n_rows)
    for _ in range(2):
        np.testing.assert_allclose(fused.run(order, 0.01), numpy.run(order, 0.01), rtol=1e-4)
    assert_same(fused, numpy)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("logistic", [False, True])
def test_biases_stay_where_there_is_no_intercept(dtype, solver, logistic):
    problem = make_problem(dtype, 100, 20, 4, logistic, False)
    loss = LogisticLoss() if logistic else SoftmaxLoss()
    rule = Rule(solver, epsilon=1e-3, fit_intercept=False)
    fused, numpy = both_steps(problem, (20, 4), loss, rule, 16)
    for step in (fused, numpy):
        step.run(np.arange(100), 0.1)
    assert_same(fused, numpy)
    assert (fused.network.intercepts[0] == 0).all()


@pytest.mark.parametrize("hidden", [(), (96,), (128,), (150, 70)])
@pytest.mark.parametrize("batch_size", [20, 130, 400])
def test_bits_depend_neither_on_threads_nor_on_calls(dtype, hidden, batch_size, monkeypatch):
    monkeypatch.setattr(_compiled, "WORK_A_THREAD", 1)
    results = []
    for n_threads, n_calls in [(1, 1), (2, 1), (3, 2), (7, 1), (16, 1)]:
        with fs.set_num_threads(n_threads):
            problem = make_problem(dtype, 800, 60, 7, False, True)
            fused, _ = both_steps(
                problem, (60, *hidden, 7), SoftmaxLoss(), Rule("adam"), batch_size
            )
            per_call = -(-800 // batch_size // n_calls) * batch_size
            for start in range(0, 800, per_call):
                fused.run(np.arange(start, min(800, start + per_call)), 0.01)
            results.append([array.tobytes() for array in fused.network.arrays])
    assert all(result == results[0] for result in results)


def test_trainer_refuses_arrays_of_other_shapes_and_kinds():
    network = glorot_network((5, 4, 3), np.float32, np.random.default_rng(0))
    state = OptimizerState.zeros(network)

    def make(parameters=network.arrays, first=state.first, batch_size=8, n_threads=1):
        return _compiled.kernels().Trainer(
            parameters, first, state.second, Rule("adam"), 0.0, False, batch_size, n_threads
        )

    arrays = network.arrays
    with pytest.raises(ValueError, match="number of parameters"):
        make(arrays[:3])
    with pytest.raises(ValueError, match=r"parameters of layer 1 must have shapes \(4, 3\)"):
        make([*arrays[:2], arrays[2], np.zeros(2, np.float32)])
    with pytest.raises(TypeError, match="first moments must have dtype float32, got float64"):
        make(first=[array.astype(float) for array in arrays])
    with pytest.raises(ValueError, match="batch_size"):
        make(batch_size=0)
    with pytest.raises(ValueError, match="n_threads"):
        make(n_threads=0)
    X, y, order = np.zeros((9, 5), np.float32), np.zeros(9, np.int32), np.arange(9)
    trainer = make()
    with pytest.raises(ValueError, match="number of features"):
        trainer.train(X[:, :4].copy(), 1.0, y, None, order, 0.1, 0)
    with pytest.raises(IndexError, match=r"order must be in \[0, 9\), got 9"):
        trainer.train(X, 1.0, y, None, order + 1, 0.1, 0)
    with pytest.raises(IndexError, match=r"targets must be in \[0, 3\), got 3"):
        trainer.train(X, 1.0, y + np.int32(3), None, order, 0.1, 0)
    with pytest.raises(ValueError, match="order must have 1 dimensions"):
        trainer.train(X, 1.0, y, None, order[np.newaxis], 0.1, 0)
    assert trainer.train(X, 1.0, y, None, order, 0.1, 0)[1] == 9

    def go_on(parameters=arrays, batch_size=8, n_threads=1):
        trainer.go_on(parameters, Rule("adam"), 0.0, False, batch_size, n_threads)

    with pytest.raises(ValueError, match="number of parameters"):
        go_on(arrays[:3])
    with pytest.raises(ValueError, match=r"parameters of layer 0 must have shapes \(5, 4\)"):
        go_on([arrays[0].T, *arrays[1:]])
    with pytest.raises(TypeError, match="parameters must have dtype float32, got float64"):
        go_on([array.astype(float) for array in arrays])
    with pytest.raises(ValueError, match="batch_size"):
        go_on(batch_size=0)
    with pytest.raises(ValueError, match="n_threads"):
        go_on(n_threads=1 << 20)
    go_on(batch_size=3, n_threads=2)
    assert trainer.train(X, 1.0, y, None, order, 0.1, 0)[1] == 9


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_found_anywhere(real, bad):
    for n in (1, 63, 64, 65, 200):
        array = np.full(n, np.finfo(real).max)
        assert _compiled.all_finite(array.astype(real))
        for at in {0, n // 2, n - 1}:
            spoilt = array.astype(real)
            spoilt[at] = bad
            assert not _compiled.all_finite(spoilt)
            assert not _compiled.all_finite(np.repeat(spoilt, 2)[::2])
            assert not _compiled.all_finite(spoilt.astype(spoilt.dtype.newbyteorder()))


@pytest.mark.parametrize("n_threads", [2, 3, 5])
def test_bits_do_not_depend_on_the_number_of_threads(dtype, n_threads):
    results = []
    for n in (1, n_threads):
        with fs.set_num_threads(n):
            problem = make_problem(dtype, 200, 60, 7, False, True)
            fused, _ = both_steps(problem, (60, 130, 7), SoftmaxLoss(), Rule("adam"), 16)
            tally = fused.run(np.arange(200), 0.01)
            results.append((tally, [array.tobytes() for array in fused.network.arrays]))
    assert results[0] == results[1]


def test_a_padded_step_learns_from_nan_what_numpy_learns():
    problem = make_problem(np.float64, 16, 5, 3, False, False)
    problem[0].X[3, 2] = np.nan
    fused, numpy = both_steps(problem, (5, 4, 3), SoftmaxLoss(), Rule("adam"), 8)
    assert np.isnan(fused.run(np.arange(16), 0.1).loss)
    assert np.isnan(numpy.run(np.arange(16), 0.1).loss)
    assert not fused.network.is_finite()


@pytest.mark.parametrize("sizes", [(9, 3), (9, 130, 3), (9, 16, 7, 33, 1)])
@pytest.mark.parametrize("n_rows", [1, 31, 32, 200])
def test_compiled_logits_are_numpys(dtype, sizes, n_rows):
    rows, _, _ = make_problem(dtype, n_rows, sizes[0], 3, False, False)
    network = glorot_network(sizes, rows.dtype, np.random.default_rng(0))
    with fs.use_backend("numpy"):
        expected, _, _ = logits_of(network, rows, sizes[-1])
    for n_threads in (1, 3):
        with fs.set_num_threads(n_threads):
            got, *finite = logits_of(network, rows, sizes[-1])
        assert finite == [True, True]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
    one, _, _ = logits_of(network, Rows(rows.X[-1:], rows.scale), sizes[-1])
    np.testing.assert_array_equal(one, got[-1:])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_compiled_logits_notice_what_is_not_finite(bad):
    X = np.zeros((50, 7), np.float32)
    X[49, 6] = bad
    network = glorot_network((7, 3), np.float32, np.random.default_rng(0))
    assert logits_of(network, Rows(X, 1.0), 3)[1:] == (False, False)
    network.intercepts[0][1] = bad
    assert logits_of(network, Rows(X[:2], 1.0), 3)[1:] == (True, False)


@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_linear_loss_and_gradient_are_numpys(dtype, logistic, weighted, smoothing):
    rows, targets, weights = make_problem(dtype, 333, 21, 4, logistic, weighted)
    network = glorot_network((21, 4), rows.dtype, np.random.default_rng(0))
    loss = (LogisticLoss if logistic else SoftmaxLoss)(smoothing)
    split = Split(rows, targets, weights)
    expected_tally, expected = NumpySum(network, loss, split)(network)
    results = []
    for n_threads in (1, 3):
        with fs.set_num_threads(n_threads):
            tally, gradients = CompiledLinear(_compiled.kernels(), network, loss, split)(network)
        np.testing.assert_allclose(tally, expected_tally, rtol=1e-5)
        for mine, theirs in zip(gradients, expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)
        results.append((tally, [gradient.tobytes() for gradient in gradients]))
    assert results[0] == results[1]


@pytest.mark.parametrize("real", [np.dtype("float32"), np.dtype("float64")], ids=str)
@pytest.mark.parametrize("n_outputs", [1, 3, 10, 16, 17, 40])
@pytest.mark.parametrize("hidden", [(), (5,), (130, 200)])
def test_a_row_alone_has_the_bits_that_it_has_among_others(real, n_outputs, hidden):
    rng = np.random.default_rng(5)
    network = glorot_network((37, *hidden, n_outputs), real, rng)
    network.intercepts[0][:] = rng.normal(size=network.intercepts[0].size)
    X = rng.normal(size=(40, 37)).astype(network.dtype)
    both, *_ = logits_of(network, Rows(X, 1.0), n_outputs)
    turned = network._replace(coefs=[np.asfortranarray(coef) for coef in network.coefs])
    for row in (0, 31, 39):
        alone, *_ = logits_of(network, Rows(X[row : row + 1], 1.0), n_outputs)
        np.testing.assert_array_equal(alone[0], both[row])
        alone = _compiled.logits_of_few(turned, X[row : row + 1], n_outputs)
        np.testing.assert_array_equal(alone[0], both[row])
