"""What is composed of the contract: linear and sampled losses."""

import tracemalloc

import needs
import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax.functional import _linear, _linear_layer, _sampled


def layer(rng, dtype=np.float64, n_rows=37, n_features=8, n_classes=23):
    """Return (x, linear_weight, linear_bias, targets)."""
    x = rng.standard_normal((n_rows, n_features)).astype(dtype)
    weight = rng.standard_normal((n_classes, n_features)).astype(dtype)
    return (
        x,
        weight,
        rng.standard_normal(n_classes).astype(dtype),
        rng.integers(0, n_classes, n_rows),
    )


OPTIONS = [
    {},
    {"reduction": "sum"},
    {"reduction": "none"},
    {"label_smoothing": 0.1, "z_loss": 0.01},
    {"softcap": 5.0, "temperature": 2.0},
    {"ignore_index": 3},
    {"weight": True, "sample_weight": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("form", ["indices", "probabilities"])
def test_linear_cross_entropy(rng, monkeypatch, options, with_bias, form):
    monkeypatch.setattr(_linear_layer, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(_linear, "STRIP_BYTES", 500)
    x, weight, bias, targets = layer(rng)
    options = dict(options)
    if options.pop("weight", False):
        options["weight"] = rng.uniform(0.5, 2, 23)
        options["sample_weight"] = rng.uniform(0.5, 2, 37)
    if form == "probabilities":
        if "ignore_index" in options:
            return
        targets = fs.softmax(rng.standard_normal((37, 23)))
    logits = x @ weight.T + (bias if with_bias else 0)
    loss, grad = fs.cross_entropy_with_grad(logits, targets, **options)
    extra = {"linear_bias": bias} if with_bias else {}
    got, grad_x, grad_weight, grad_bias = fs.linear_cross_entropy_with_grad(
        x, weight, targets, **extra, **options
    )
    np.testing.assert_allclose(got, loss, rtol=1e-12)
    np.testing.assert_allclose(grad_x, grad @ weight, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(grad_weight, grad.T @ x, rtol=1e-10, atol=1e-13)
    if with_bias:
        np.testing.assert_allclose(grad_bias, grad.sum(axis=0), rtol=1e-10, atol=1e-13)
    else:
        assert grad_bias is None
    np.testing.assert_array_equal(
        fs.linear_cross_entropy(x, weight, targets, **extra, **options), got
    )


EVERYTHING = {"z_loss": 0.3, "softcap": 2.0, "temperature": 1.5, "ignore_index": 3}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(), (37,), (3, 7), (2, 0, 4)])
@pytest.mark.parametrize("form", ["indices", "probabilities"])
def test_linear_cross_entropy_of_rows_in_any_shape(rng, monkeypatch, reduction, shape, form):
    monkeypatch.setattr(_linear_layer, "ROWS_AT_ONCE", 10)
    n_rows = int(np.prod(shape))
    x, weight, bias, targets = layer(rng, n_rows=n_rows)
    if form == "probabilities":
        targets = fs.softmax(rng.standard_normal((n_rows, 23)))
    rows = rng.uniform(0.5, 2, n_rows)
    options = {**EVERYTHING, "linear_bias": bias, "reduction": reduction, "return_z_loss": True}
    if form == "probabilities":
        del options["ignore_index"]
    want = fs.linear_cross_entropy_with_grad(x, weight, targets, sample_weight=rows, **options)
    shaped = x.reshape(*shape, 8), weight, targets.reshape((*shape, *targets.shape[1:]))
    rows = rows.reshape(shape)
    got = fs.linear_cross_entropy_with_grad(*shaped, sample_weight=rows, **options)
    assert got[0].shape == got[-1].shape == (shape if reduction == "none" else ())
    assert got[1].shape == (*shape, 8)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_array_equal(np.ravel(one), np.ravel(other))
    loss, z_loss = fs.linear_cross_entropy(*shaped, sample_weight=rows, **options)
    np.testing.assert_array_equal(loss, got[0])
    np.testing.assert_array_equal(z_loss, got[-1])


def answer(function, *arguments, **options):
    """Return the bytes of each result, or the error that is raised."""
    try:
        results = function(*arguments, **options)
    except (IndexError, TypeError, ValueError) as error:
        return type(error), str(error)
    results = results if isinstance(results, tuple) else (results,)
    return [
        None if one is None else (type(one), one.dtype, one.shape, np.asarray(one).tobytes())
        for one in results
    ]


def change(arrays, kind):
    """Return (x, linear_weight, linear_bias, targets) of another kind, mostly wrong."""
    x, weight, bias, targets = arrays
    return {
        "as it is": arrays,
        "one row": (x[0], weight, bias, targets[0]),
        "rows of rows": (x.reshape(1, *x.shape), weight, bias, targets[None]),
        "Fortran": (np.asfortranarray(x), np.asfortranarray(weight), bias, targets),
        "no rows": (x[:0], weight, bias, targets[:0]),
        "NaN": (np.where(np.arange(len(x)) == 3, np.nan, x.T).T.astype(x.dtype), *arrays[1:]),
        "lists": (x.tolist(), weight.tolist(), bias.tolist(), targets.tolist()),
        "a target out of range": (x, weight, bias, np.full_like(targets, len(weight))),
        "too few targets": (x, weight, bias, targets[:-1]),
        "other features": (x[:, :-1], weight, bias, targets),
        "another dtype": (x, weight.astype(np.float16), bias, targets),
        "a long bias": (x, weight, np.append(bias, bias), targets),
        "integers": (x.astype(int), weight.astype(int), bias.astype(int), targets),
        "no classes": (x, weight[:0], bias[:0], targets),
        "a scalar": (x[0, 0], weight, bias, targets),
    }[kind]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("kind", [
    "as it is", "one row", "rows of rows", "Fortran", "no rows", "NaN", "lists", "a target out of range",
    "too few targets", "other features", "another dtype", "a long bias", "integers", "no classes", "a scalar",
])  # fmt: skip
def test_rows_of_one_block_give_what_blocks_give(rng, monkeypatch, dtype, kind):
    x, weight, bias, targets = change(layer(rng, dtype), kind)
    for options in (*OPTIONS, {"temperature": -1.0}, {"weight": True}):
        options = dict(options)
        if "sample_weight" in options:
            options["sample_weight"] = rng.random(np.shape(targets))
        if "weight" in options:
            options["weight"] = rng.random(len(weight))
        for linear_bias in (None, bias):
            for function in (fs.linear_cross_entropy, fs.linear_cross_entropy_with_grad):
                call = (function, x, weight, targets)
                short = answer(*call, linear_bias=linear_bias, **options)
                with monkeypatch.context() as patch:
                    patch.setattr(_linear, "_logits_of_one_block", lambda *layer: None)
                    assert short == answer(*call, linear_bias=linear_bias, **options)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_linear_z_loss_is_returned_apart(rng, reduction):
    x, weight, bias, targets = layer(rng)
    rows = rng.uniform(0, 2, 37)
    logits = 2 * np.tanh((x @ weight.T + bias) / 1.5 / 2)
    squares = 0.3 * rows * (targets != 3) * fs.logsumexp(logits, 1) ** 2
    want = {"none": squares, "sum": squares.sum()}
    want["mean"] = squares.sum() / rows[targets != 3].sum()
    options = {"linear_bias": bias, "sample_weight": rows, "reduction": reduction}
    loss, z_loss = fs.linear_cross_entropy(
        x, weight, targets, return_z_loss=True, **options, **EVERYTHING
    )
    np.testing.assert_allclose(z_loss, want[reduction], rtol=1e-12)
    rest = fs.linear_cross_entropy(x, weight, targets, **options, **{**EVERYTHING, "z_loss": 0.0})
    np.testing.assert_allclose(loss - z_loss, rest, rtol=1e-10, atol=1e-12)


def test_linear_upstream_weighs_the_rows(rng):
    x, weight, bias, targets = layer(rng)
    upstream = rng.standard_normal(37)
    upstream[targets == 3] = np.inf  # of ignored rows nothing is felt
    options = {"linear_bias": bias, "reduction": "none", **EVERYTHING}
    loss, *grads = fs.linear_cross_entropy_with_grad(
        x, weight, targets, upstream=upstream, **options
    )
    kept = np.where(targets == 3, 0, upstream)
    logits = x @ weight.T + bias
    losses, grad = fs.cross_entropy_with_grad(logits, targets, reduction="none", **EVERYTHING)
    grad *= kept[:, None]
    np.testing.assert_allclose(loss, losses, rtol=1e-12)
    for got, want in zip(grads, (grad @ weight, grad.T @ x, grad.sum(0)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_linear_gradients_are_written_to_out(rng, dtype, order):
    x, weight, bias, targets = layer(rng, dtype)
    want = fs.linear_cross_entropy_with_grad(x, weight, targets, linear_bias=bias)
    out = tuple(np.full(one.shape, np.nan, dtype, order=order) for one in (x, weight, bias))
    got = fs.linear_cross_entropy_with_grad(x, weight, targets, linear_bias=bias, out=out)
    for one, other, given in zip(got[1:], want[1:], out, strict=True):
        assert one is given
        np.testing.assert_array_equal(one, other)
    got = fs.linear_cross_entropy_with_grad(x, weight, targets, out=(None, out[1]))
    assert got[2] is out[1]
    assert got[1] is not out[0]


def test_linear_new_options_are_checked(rng):
    x, weight, _, targets = layer(rng)
    wrong = [
        ({"upstream": targets / 7.0}, ValueError, 'upstream goes with reduction="none"'),
        ({"upstream": x, "reduction": "none"}, ValueError, "upstream must have shape"),
        ({"out": x}, TypeError, "out must be a tuple of 2 arrays"),
        ({"out": (x, None)}, ValueError, "share no memory with x"),
        (
            {"out": (None, weight.copy()[:5])},
            ValueError,
            r"out \(grad_linear_weight\) must have shape",
        ),
        ({"out": (None, weight.astype(np.float32))}, TypeError, "out"),
        ({"return_z_loss": 1}, TypeError, "return_z_loss must be True or False"),
    ]
    for options, error, words in wrong:
        with pytest.raises(error, match=words):
            fs.linear_cross_entropy_with_grad(x, weight, targets, **options)
    with pytest.raises(IndexError, match=r"got 23 at row \(0, 2\)"):
        fs.linear_cross_entropy(
            x[:4].reshape(2, 2, 8)[:, [0, 1, 1]], weight, [[0, 1, 23], [0, 1, 2]]
        )


@needs.compiled  # NumPy computes a block in doubles
def test_linear_cross_entropy_never_stores_the_logits(rng):
    x, weight, _, targets = layer(rng, np.float32, n_rows=1024, n_features=16, n_classes=20_000)
    tracemalloc.start()
    fs.linear_cross_entropy_with_grad(x, weight, targets)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    results = x.nbytes + weight.nbytes
    block = _linear_layer.ROWS_AT_ONCE * 20_000 * 4
    assert peak - results < block + 3 * _linear.STRIP_BYTES < 1024 * 20_000 * 4


def test_linear_cross_entropy_of_no_rows():
    loss, grad_x, grad_weight, _ = fs.linear_cross_entropy_with_grad(
        np.zeros((0, 3)), np.zeros((4, 3)), []
    )
    assert np.isnan(loss)
    assert grad_x.shape == (0, 3)
    assert not grad_weight.any()


def test_linear_cross_entropy_refuses(rng):
    x, weight, bias, targets = layer(rng)
    with pytest.raises(IndexError, match=r"targets must be in \[0, 23\), got 23 at row 5"):
        fs.linear_cross_entropy(x, weight, np.where(np.arange(37) == 5, 23, targets))
    with pytest.raises(
        ValueError, match=r"linear_weight must have shape \(n_classes, 8\), got \(8, 23\)"
    ):
        fs.linear_cross_entropy(x, weight.T, targets)
    with pytest.raises(ValueError, match=r"linear_bias must have shape \(23,\), got \(22,\)"):
        fs.linear_cross_entropy(x, weight, targets, linear_bias=bias[1:])
    with pytest.raises(
        TypeError, match="linear_weight must have the dtype of x, float64, got float32"
    ):
        fs.linear_cross_entropy(x, weight.astype(np.float32), targets)
    with pytest.raises(ValueError, match="two dimensions"):
        fs.linear_cross_entropy(x, weight[0], targets)
    with pytest.raises(ValueError, match=r"targets \(class indices\) must have shape \(\)"):
        fs.linear_cross_entropy(x[0], weight, targets)
    with pytest.raises(TypeError, match="axis"):
        fs.linear_cross_entropy(x, weight, targets, axis=0)


def test_samplers_draw_what_they_say(rng):
    for sampler in _sampled.SAMPLERS:
        drawn, log_q = _sampled.draw_classes(50, 200_000, sampler, rng)
        q = np.zeros(50)
        q[drawn] = np.exp(log_q)
        assert q.sum() == pytest.approx(1)
        counts = np.bincount(drawn, minlength=50) / 200_000
        np.testing.assert_allclose(counts, q, atol=6 * np.sqrt(q.max() / 200_000))


@pytest.mark.parametrize("sampler", _sampled.SAMPLERS)
def test_expectation_of_the_corrected_sum_is_the_full_sum(rng, sampler):
    x, weight, bias, targets = layer(rng, n_rows=5)
    logits = x @ weight.T + bias
    sums = np.zeros(5)
    n_draws = 4_000
    for seed in range(n_draws):
        problem = _sampled._Problem(x, weight, targets, 40, bias, sampler, True, seed)
        sums += np.exp(problem.logits()).sum(axis=1) / n_draws
    np.testing.assert_allclose(sums, np.exp(logits).sum(axis=1), rtol=0.05)


@pytest.mark.parametrize("sampler", _sampled.SAMPLERS)
def test_sampled_loss_tends_to_the_full_loss(rng, sampler):
    x, weight, bias, targets = layer(rng)
    full = fs.linear_cross_entropy(x, weight, targets, linear_bias=bias)
    errors = [
        abs(fs.sampled_softmax_cross_entropy(
            x, weight, targets, k, linear_bias=bias, sampler=sampler, seed=1) - full)
        for k in (10, 1_000, 100_000)
    ]  # fmt: skip
    assert errors[2] < errors[0]
    assert errors[2] < 0.01 * full


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_sampled_gradients_against_differences(rng, with_bias, remove, reduction):
    x, weight, bias, targets = layer(rng, n_rows=6, n_features=3, n_classes=9)
    options = {"seed": 5, "remove_accidental_hits": remove, "reduction": reduction}

    def loss(x, weight, bias):
        extra = {"linear_bias": bias} if with_bias else {}
        return np.sum(fs.sampled_softmax_cross_entropy(x, weight, targets, 7, **extra, **options))

    extra = {"linear_bias": bias} if with_bias else {}
    got, grad_x, class_ids, rows, bias_rows = fs.sampled_softmax_cross_entropy_with_grad(
        x, weight, targets, 7, **extra, **options
    )
    assert np.sum(got) == loss(x, weight, bias)
    assert (np.diff(class_ids) > 0).all()
    assert set(targets) <= set(class_ids)
    grad_weight = np.zeros_like(weight)
    grad_weight[class_ids] = rows
    arguments, grads = [x, weight], [grad_x, grad_weight]
    if with_bias:
        grad_bias = np.zeros_like(bias)
        grad_bias[class_ids] = bias_rows
        arguments, grads = [x, weight, bias], [*grads, grad_bias]
    else:
        assert bias_rows is None
    for i, grad in enumerate(grads):
        for at in np.ndindex(grad.shape):
            moved = [[a.copy() for a in arguments] for _ in range(2)]
            moved[0][i][at] += 1e-5
            moved[1][i][at] -= 1e-5
            up, down = (loss(*(*m, bias)[:3]) for m in moved)
            assert grad[at] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("with_bias", [False, True])
def test_sampled_rows_are_ignored(rng, reduction, with_bias):
    x, weight, bias, targets = layer(rng)
    targets[::3] = -100
    x[3] = np.nan  # an ignored row is not felt
    kept = targets != -100
    options = {"seed": 5, "reduction": reduction, "linear_bias": bias if with_bias else None}
    call = fs.sampled_softmax_cross_entropy_with_grad
    loss, grad_x, *got = call(x, weight, targets, 7, ignore_index=-100, **options)
    want, want_x, *others = call(x[kept], weight, targets[kept], 7, **options)
    np.testing.assert_allclose(loss[kept] if reduction == "none" else loss, want, rtol=1e-12)
    np.testing.assert_allclose(grad_x[kept], want_x, rtol=1e-10, atol=1e-14)
    assert not grad_x[~kept].any()
    for one, other in zip(got, others, strict=True):
        if other is None:
            assert one is None
        else:
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(
        fs.sampled_softmax_cross_entropy(x, weight, targets, 7, ignore_index=-100, **options), loss
    )
    with pytest.raises(IndexError, match="got -100 at row 0"):
        call(x, weight, targets, 7, **options)


def test_sampled_seeds_and_errors(rng):
    x, weight, _, targets = layer(rng)
    call = fs.sampled_softmax_cross_entropy
    assert call(x, weight, targets, 5, seed=3) == call(x, weight, targets, 5, seed=3)
    assert call(x, weight, targets, 5, seed=3) != call(x, weight, targets, 5, seed=4)
    with pytest.raises(
        ValueError, match="sampler must be one of 'log_uniform', 'uniform', got 'gumbel'"
    ):
        call(x, weight, targets, 5, sampler="gumbel")
    with pytest.raises(ValueError, match="num_sampled must be at least 1, got 0"):
        call(x, weight, targets, 0)
    with pytest.raises(ValueError, match="num_sampled must be at most"):
        call(x, weight, targets, 2**70)
    with pytest.raises(IndexError, match=r"targets must be in \[0, 23\), got -1 at row 0"):
        call(x, weight, np.full(37, -1), 5)
    with pytest.raises(TypeError, match="class indices"):
        call(x, weight, np.zeros((37, 23)), 5)
    with pytest.raises(ValueError, match=r"seed must be None.*, got -1"):
        call(x, weight, targets, 5, seed=-1)
    with pytest.raises(TypeError, match=r"seed must be None.*, got 'a'"):
        call(x, weight, targets, 5, seed="a")


@pytest.mark.parametrize("function", [fs.linear_cross_entropy, fs.sampled_softmax_cross_entropy])
@pytest.mark.parametrize(
    ("x", "weight", "error", "words"),
    [
        (
            (4, 3),
            (5, 2),
            ValueError,
            r"^linear_weight must have shape \(n_classes, 3\), got \(5, 2\)",
        ),
        ((4, 3), (0, 3), ValueError, "^linear_weight must have"),
        ((3,), (5, 2), ValueError, "^x must have two dimensions|^linear_weight must have shape"),
    ],
)
def test_shapes_of_linear_layers(function, x, weight, error, words):
    sampled = {"num_sampled": 2} if function is fs.sampled_softmax_cross_entropy else {}
    with pytest.raises(error, match=words):
        function(np.zeros(x), np.zeros(weight), np.zeros(x[:-1], int), **sampled)


def test_the_bias_has_the_dtype_of_the_products():
    x, weight, y = np.zeros((4, 3)), np.zeros((5, 3)), np.zeros(4, int)
    with pytest.raises(
        TypeError, match=r"^linear_bias must have the dtype of x, float64, got float32"
    ):
        fs.linear_cross_entropy(x, weight, y, linear_bias=np.zeros(5, np.float32))
    with pytest.raises(ValueError, match=r"^linear_bias must have shape \(5,\), got \(4,\)"):
        fs.linear_cross_entropy(x, weight, y, linear_bias=np.zeros(4))
