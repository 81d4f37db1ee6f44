"""Hunt for errors beyond the documented bounds: random functions, dtypes, layouts, logits and options.

    python tests/hunt.py --seconds 60 --seed 1 [--backend cython] [--isa v3] [--function softmax]
    python tests/hunt.py --case 1:2345 --backend cython --isa v3      # one case again, with what went into it

Every case follows from its seed and number alone. Each is judged against the oracle in long double; printed are the
worst error of each function and dtype, in units of its bound, and the cases that exceed it.
"""

import argparse
import collections
import sys
import time
import warnings

import conftest
import ml_dtypes
import numpy as np
import oracle
from oracle import Rows
from tolerances import ULP

import fastsoftmax as fs
from fastsoftmax import _dispatch

DTYPES = (
    np.dtype(np.float32),
    np.dtype(np.float64),
    np.dtype(np.float16),
    np.dtype(ml_dtypes.bfloat16),
)
CLASSES = (1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 31, 33, 40, 64, 65, 100, 127, 129, 160, 161, 257, 1000, 4097, 8191,
           8192, 8193, 16385)  # fmt: skip


# ---- logits ----


def _flat(shape, rng, top):
    return np.full(shape, rng.standard_normal() * 10 ** rng.uniform(-3, 3))


def _constant_rows(shape, rng, top):
    return np.broadcast_to(rng.standard_normal((*shape[:-1], 1)) * 10 ** rng.uniform(-3, 3), shape)


def _two_maxima(shape, rng, top):
    x = rng.standard_normal(shape)
    at = rng.integers(0, shape[-1], (*shape[:-1], 2))
    gap = 10.0 ** rng.uniform(-12, 1, (*shape[:-1], 1))
    np.put_along_axis(x, at[..., :1], 30 + gap, -1)
    np.put_along_axis(x, at[..., 1:], 30.0, -1)
    return x


def _ladder(shape, rng, top):
    steps = np.linspace(0, -rng.uniform(1, 800), shape[-1]) + rng.standard_normal() * 10
    return rng.permuted(np.broadcast_to(steps, shape), axis=-1)


def _edge(shape, rng, top):
    """One maximum, and the rest where exp becomes the smallest normal number of a dtype."""
    edge = float(np.log(np.finfo(np.float64 if rng.random() < 0.5 else np.float32).tiny))
    x = edge + rng.uniform(-3, 6, shape)
    np.put_along_axis(x, rng.integers(0, shape[-1], (*shape[:-1], 1)), 0.0, -1)
    return x + rng.choice([0, 0, 100, -3, 1e4])


def _below(shape, rng, top):
    """A maximum and, in most rows, everything else one constant far below."""
    x = np.full(shape, -rng.uniform(1, 740))
    np.put_along_axis(x, rng.integers(0, shape[-1], (*shape[:-1], 1)), 0.0, -1)
    return x


def _with_infinities(shape, rng, top):
    x = rng.standard_normal(shape) * 5
    x[rng.random(shape) < rng.choice([0.01, 0.5, 0.95])] = -np.inf
    return x


def _confident(shape, rng, top):
    x = rng.standard_normal(shape)
    at = rng.integers(0, shape[-1], (*shape[:-1], 1))
    np.put_along_axis(x, at, rng.uniform(10, 80, at.shape), -1)
    return x


def _huge(shape, rng, top):
    return rng.choice([-1, 1], shape) * top * rng.choice([1, 0.9, 0.5, 1e-2, 1e-10], shape)


def _tiny(shape, rng, top):
    return rng.standard_normal(shape) / top * 10.0 ** rng.uniform(-3, 8)


LOGITS = {
    "normal": lambda shape, rng, top: rng.standard_normal(shape) * 3,
    "wide": lambda shape, rng, top: rng.standard_normal(shape) * 30,
    "spread": lambda shape, rng, top: rng.uniform(-20, 20, shape),
    "shifted": lambda shape, rng, top: rng.standard_normal(shape) + rng.choice([-1e3, 300, 1e5]),
    "flat": _flat,
    "constant rows": _constant_rows,
    "two maxima": _two_maxima,
    "ladder": _ladder,
    "edge": _edge,
    "below": _below,
    "with -inf": _with_infinities,
    "confident": _confident,
    "huge": _huge,
    "tiny": _tiny,
}


def _in_dtype(values, dtype):
    with np.errstate(over="ignore", under="ignore"):
        return values.astype(dtype)


class Case:
    """What is drawn for a case, and how its results are judged."""

    def __init__(self, seed, number, functions=None):
        self.rng = rng = np.random.default_rng([seed, number])
        self.dtype = DTYPES[rng.choice(4, p=[0.4, 0.4, 0.1, 0.1])]
        self.computing = np.dtype(np.float32) if self.dtype.itemsize == 2 else self.dtype
        n_classes = int(rng.choice(CLASSES))
        n_rows = int(rng.integers(1, max(2, min(40, 40_000 // n_classes)) + 1))
        self.shape, self.kind = (n_rows, n_classes), str(rng.choice(list(LOGITS)))
        self.layout = str(rng.choice(["C", "F", "images", "gaps"]))
        self.function = str(rng.choice(sorted(functions or FUNCTIONS)))
        self.options, self.worst = {}, {}

    def logits(self):
        """Return logits in the layout of the case, and their class axis."""
        top = float(oracle._finfo(self.dtype).max)
        x = _in_dtype(np.array(LOGITS[self.kind](self.shape, self.rng, top)), self.dtype)
        return self.laid_out(x)

    def laid_out(self, x):
        """Return rows of classes in the layout of the case, and the class axis."""
        if self.layout == "F":
            return np.asfortranarray(x), 1
        if self.layout == "gaps":
            wide = np.zeros((len(x), 2 * x.shape[1] + 1), x.dtype)
            wide[:, 1::2] = x
            return wide[:, 1::2], 1
        if self.layout == "images":
            return np.ascontiguousarray(x.T[None]), 1
        return x, 1

    def rows_of(self, values):
        """Return one value a row, in the shape that the layout gives them."""
        return values[None] if self.layout == "images" else values

    def magnitude(self, ordinary, chance=0.25):
        """Return a positive number: mostly ordinary, else of any size that a double has."""
        if self.rng.random() < chance:
            return float(10.0 ** self.rng.uniform(-307, 307))
        return float(10.0 ** self.rng.uniform(-ordinary, ordinary))

    def temperature(self):
        return 1.0 if self.rng.random() < 0.4 else self.magnitude(3)

    def weights(self, shape):
        """Return weights, some of them 0: near 1, of one size of any kind, or each of its own."""
        kind = self.rng.choice(["near 1", "near 1", "one size", "each"])
        values = self.rng.uniform(0.1, 2, shape)
        if kind == "one size":
            values *= self.magnitude(9, 0.5) / 10
        elif kind == "each":
            values *= 10.0 ** self.rng.uniform(-200, 200, shape)
        values[self.rng.random(shape) < self.rng.choice([0, 0.3])] = 0
        return values

    def check(self, name, got, want, scale=None):
        """Note the error of a result, in units of its bound."""
        got = np.asarray(got)
        bound = 1 if got.dtype.itemsize == 2 else ULP
        try:
            error = oracle.ulp_error(got, want, scale) / bound
        except AssertionError:
            error = np.inf
        self.worst[name] = max(self.worst.get(name, 0), error)

    def holds(self, name, is_so):
        """Note whether something is so."""
        self.worst[name] = 0 if is_so else np.inf


# ---- functions ----


def softmax_family(case):
    x, axis = case.logits()
    temperature = case.options["temperature"] = case.temperature()
    want = Rows(x, axis, temperature)
    case.check("softmax", fs.softmax(x, axis, temperature=temperature), want.probs)
    case.check("log_softmax", fs.log_softmax(x, axis, temperature=temperature), want.log_probs)
    plain = Rows(x, axis)
    lse = np.where(np.isfinite(plain.m), plain.lse, plain.m)
    scale = np.maximum(np.abs(lse), np.abs(plain.m)).squeeze(axis)
    case.check("logsumexp", fs.logsumexp(x, axis), lse.squeeze(axis), scale)


def backward(case):
    rng = case.rng
    probs, axis = case.laid_out(
        _in_dtype(fs.softmax(rng.standard_normal(case.shape) * 3), case.dtype)
    )
    top = float(oracle._finfo(case.dtype).max)
    size = rng.choice([1, 1, top / 8, 100 / top])
    g, _ = case.laid_out(_in_dtype(rng.standard_normal(case.shape).clip(-4, 4) * size, case.dtype))
    p, wide = probs.astype(np.longdouble), g.astype(np.longdouble)
    want = p * (wide - oracle.total_of(wide * p, axis))
    scale = p * (np.abs(wide) + oracle.total_of(np.abs(wide * p), axis))
    case.check("softmax_backward", fs.softmax_backward(g, probs, axis), want, scale)
    log_probs = _in_dtype(np.log(np.maximum(p, 1e-30)), case.dtype)
    e = np.exp(log_probs.astype(np.longdouble))
    want = wide - e * oracle.total_of(wide, axis)
    scale = np.abs(wide) + e * oracle.total_of(np.abs(wide), axis)
    case.check("log_softmax_backward", fs.log_softmax_backward(g, log_probs, axis), want, scale)


def _loss_options(case, form, n_rows, n_classes):
    rng, options = case.rng, {}
    if rng.random() < 0.3:
        options["weight"] = case.weights(n_classes)
    if rng.random() < 0.3:
        options["sample_weight"] = case.rows_of(case.weights(n_rows))
    if rng.random() < 0.2 and form == "indices":
        options["ignore_index"] = int(rng.choice([-100, rng.integers(0, n_classes)]))
    if rng.random() < 0.2:
        options["label_smoothing"] = float(
            rng.choice([0.1, 1.0, 1 - 2.0**-53, 10.0 ** rng.uniform(-300, 0)])
        )
    if rng.random() < 0.2:
        options["z_loss"] = case.magnitude(4)
    if rng.random() < 0.2:
        options["softcap"] = case.magnitude(3)
    if rng.random() < 0.4:
        options["temperature"] = case.magnitude(3)
    return options


def loss(case):
    rng, (n_rows, n_classes) = case.rng, case.shape
    x, axis = case.logits()
    form = str(rng.choice(["indices", "indices", "probabilities", "one-hot"]))
    options = case.options = _loss_options(case, form, n_rows, n_classes)
    index = rng.integers(0, n_classes, n_rows)
    if rng.random() < 0.5:
        best = np.moveaxis(np.asarray(x), axis, -1).reshape(case.shape).astype(float).argmax(-1)
        index = np.where(rng.random(n_rows) < 0.7, best, index)
    if form == "indices":
        if options.get("ignore_index") == -100:
            index[rng.random(n_rows) < 0.3] = -100
        targets = case.rows_of(index)
    else:
        y = (
            np.eye(n_classes)[index]
            if form == "one-hot"
            else fs.softmax(rng.standard_normal(case.shape) * 3)
        )
        targets, _ = case.laid_out(_in_dtype(y, case.dtype))
    losses, grad, scale = oracle.cross_entropy(x, targets, axis, **options)
    m = Rows(x, axis, options.get("temperature", 1.0), options.get("softcap")).m.squeeze(axis)
    with np.errstate(all="ignore"):
        extra = options.get("z_loss", 0) * m**2 * np.asarray(options.get("sample_weight", 1))
    allowed = np.abs(losses) + np.where(np.isfinite(extra), extra, 0)
    is_plain = form == "indices" and not options.keys() & {"label_smoothing", "z_loss"}
    got, got_grad = fs.cross_entropy_with_grad(x, targets, axis=axis, reduction="none", **options)
    case.check("loss", got, losses, allowed)
    case.check("gradient", got_grad, grad, None if is_plain else scale)
    names = ("weight", "sample_weight", "ignore_index")
    divisor = oracle.divisor(targets, axis, **{k: v for k, v in options.items() if k in names})
    if divisor > 0:
        mean, mean_grad = fs.cross_entropy_with_grad(x, targets, axis=axis, **options)
        case.check("mean loss", mean, losses.sum() / divisor, allowed.sum() / divisor)
        case.check(
            "gradient of the mean", mean_grad, grad / divisor, None if is_plain else scale / divisor
        )
        case.holds(
            "loss alone",
            np.array_equal(fs.cross_entropy(x, targets, axis=axis, **options), mean, True),
        )


def binary(case):
    rng, x = case.rng, case.logits()[0]
    y = (
        rng.integers(0, 2, x.shape)
        if rng.random() < 0.5
        else _in_dtype(rng.random(x.shape), case.dtype)
    )
    options = case.options
    if rng.random() < 0.5:
        options["weight"] = case.weights(x.shape)
    if rng.random() < 0.5:
        options["pos_weight"] = case.weights(x.shape[-1])
    losses, grad, scale = oracle.binary_cross_entropy(x, y, **options)
    got, got_grad = fs.binary_cross_entropy_with_logits_with_grad(x, y, reduction="none", **options)
    case.check("binary loss", got, losses)
    case.check("binary gradient", got_grad, grad, scale)
    mean, mean_grad = fs.binary_cross_entropy_with_logits_with_grad(x, y, **options)
    case.check("binary mean", mean, losses.mean())
    case.check("binary gradient of the mean", mean_grad, grad / x.size, scale / x.size)
    with np.errstate(over="ignore", under="ignore"):
        want = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    case.check("sigmoid", fs.sigmoid(x), want)


def _poison(case, unused):
    """Check that rows that take no part may hold anything: no bit of the others changes."""
    rng, (n_rows, n_classes) = case.rng, case.shape
    n_features = int(rng.integers(1, 9))
    dtype = case.computing
    x = rng.standard_normal((n_rows, n_features)).astype(dtype)
    weight = rng.standard_normal((n_classes, n_features)).astype(dtype)
    index = rng.integers(0, n_classes, n_rows)
    options = {"reduction": str(rng.choice(["mean", "sum"]))}
    if rng.random() < 0.5:
        index[unused], options["ignore_index"] = -100, -100
    else:
        options["sample_weight"] = np.where(unused, 0, rng.uniform(0.5, 2, n_rows))
    bad = x.copy()
    bad[unused] = rng.choice([np.nan, np.inf, -np.inf], (int(unused.sum()), n_features))
    return options, index, x, bad, weight


def left_out(case):
    unused = case.rng.random(case.shape[0]) < 0.4
    options, index, x, bad, weight = _poison(case, unused)
    case.options = options
    found = [fs.linear_cross_entropy_with_grad(one, weight, index, **options) for one in (x, bad)]
    alike = all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(*found, strict=True) if a is not None
    )
    case.holds("left out of the linear loss", alike and not found[1][1][unused].any())
    logits, _ = case.laid_out((x @ weight.T).astype(case.dtype))
    broken = np.array(logits)
    place = (slice(None), slice(None), unused) if case.layout == "images" else unused
    broken[place] = np.nan
    if "sample_weight" in options:
        options = options | {"sample_weight": case.rows_of(options["sample_weight"])}
    options = options | {"z_loss": 0.1, "softcap": 5.0} if case.rng.random() < 0.3 else options
    found = [
        fs.cross_entropy_with_grad(one, case.rows_of(index), axis=1, **options)
        for one in (logits, broken)
    ]
    alike = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*found, strict=True))
    case.holds("left out of the loss", alike and not found[1][1][place].any())


def divergence(case):
    """Entropy and divergence of two rows of logits, near each other or not."""
    rng = case.rng
    p, axis = case.logits()
    kind = case.options["q"] = str(rng.choice(["near", "near", "shifted", "equal", "another"]))
    with np.errstate(all="ignore"):
        wide = np.asarray(p).astype(np.float64)
        if kind == "near":
            q = wide + 10.0 ** rng.uniform(-14, 0) * rng.standard_normal(p.shape)
        elif kind == "shifted":
            q = wide + rng.standard_normal()
        elif kind == "equal":
            q = wide
        else:
            q = rng.standard_normal(p.shape) * 10 ** rng.uniform(-2, 2)
    q = _like(p, np.where(np.isneginf(wide) | np.isfinite(q), q, 0))
    with np.errstate(all="ignore"):
        want, want_grad, scale = oracle.entropy(p, axis)
    got, grad = fs.entropy_with_logits_with_grad(p, axis, reduction="none")
    if np.isfinite(want).all():  # a row of -inf alone has none
        case.check("entropy", got, want)
        case.check("entropy gradient", grad, want_grad, scale)
        case.check(
            "entropy mean", fs.entropy_with_logits(p, axis), want.mean(), np.abs(want).mean()
        )
    with np.errstate(all="ignore"):
        want, absolute, want_grads, scales = oracle.divergence(p, q, axis)
    got, *grads = fs.kl_div_with_logits_with_grad(p, q, axis, reduction="none")
    case.holds("divergence alone", _same(fs.kl_div_with_logits(p, q, axis, reduction="none"), got))
    if np.isfinite(want).all() and np.isfinite(absolute).all():
        case.check("divergence", got, want, absolute)
        case.holds("divergence is not negative", (np.asarray(got) >= 0).all())
        case.check("divergence gradient of p", grads[0], want_grads[0], scales[0])
        case.check("divergence gradient of q", grads[1], want_grads[1], scales[1])


def _like(x, values):
    """Return values in the dtype and the layout of x."""
    out = (
        np.empty_like(x)
        if x.flags.forc
        else np.zeros((len(x), 2 * x.shape[1] + 1), x.dtype)[:, 1::2]
    )
    out[...] = _in_dtype(np.asarray(values), x.dtype)
    return out


def masks(case):
    """What a mask leaves out may hold anything; what is left has the bits that it has alone, out= included."""
    rng = case.rng
    x, axis = case.logits()
    where, _ = case.laid_out(rng.random(case.shape) < rng.choice([0.05, 0.5, 0.95]))
    temperature = case.options["temperature"] = case.temperature()
    bad = _like(x, np.where(where, x, rng.choice([np.nan, np.inf, -np.inf, 1e4], x.shape)))
    inside = _like(x, np.where(where, x, -np.inf))
    want = Rows(inside, axis, temperature)
    some = np.asarray(where).any(axis, keepdims=True) & np.isfinite(want.m)
    for name, expected, empty in (
        ("softmax", want.probs, 0),
        ("log_softmax", want.log_probs, -np.inf),
    ):
        function = getattr(fs, name)
        got = function(bad, axis, where=where, temperature=temperature)
        chosen = np.broadcast_to(some, got.shape) & where
        case.check(f"masked {name}", got[chosen], expected[chosen])
        left = ~np.asarray(where) & np.broadcast_to(some, got.shape)
        case.holds(f"masked {name} outside", (np.asarray(got)[left] == empty).all())
        out = _like(bad, bad)
        function(out, axis, where=where, temperature=temperature, out=out)
        case.holds(f"masked {name} in place", _same(out, got))
    plain = Rows(inside, axis)
    lse = np.where(np.isfinite(plain.m), plain.lse, plain.m)
    got = fs.logsumexp(bad, axis, where=where)
    scale = np.maximum(np.abs(lse), np.abs(plain.m)).squeeze(axis)
    case.check("masked logsumexp", got, lse.squeeze(axis), scale)


def top_k(case):
    """The largest probabilities have the bits of softmax, in the order of falling logits."""
    x, axis = case.logits()
    k = case.options["k"] = int(case.rng.integers(1, min(case.shape[1], 300) + 1))
    values, index = fs.top_k_softmax(x, k, axis)
    probs = np.asarray(fs.softmax(x, axis))
    if np.isnan(probs.astype(float)).any():
        return
    order = np.argsort(-np.asarray(x).astype(float), axis, kind="stable")
    case.holds("top k", np.array_equal(index, np.take(order, np.arange(k), axis)))
    case.holds("top k values", np.array_equal(np.take_along_axis(probs, index, axis), values))


def in_place(case):
    """out= has the bits of a new array, and may be the logits themselves."""
    rng, (n_rows, n_classes) = case.rng, case.shape
    x, axis = case.logits()
    targets = case.rows_of(rng.integers(0, n_classes, n_rows))
    options = case.options = _loss_options(case, "indices", n_rows, n_classes)
    options["reduction"] = str(rng.choice(["mean", "sum", "none"]))
    new = fs.cross_entropy_with_grad(x, targets, axis=axis, **options)
    out = _like(x, x)
    loss, grad = fs.cross_entropy_with_grad(out, targets, axis=axis, out=out, **options)
    needs_logits = ~np.isfinite(loss)  # a loss that left the range: the logits would tell it again
    case.holds(
        "loss in place", _same(np.where(needs_logits, 0, new[0]), np.where(needs_logits, 0, loss))
    )
    case.holds("in place", grad is out and _same(new[1], grad))
    apart = case.laid_out(np.zeros(case.shape, x.dtype))[0]
    fs.cross_entropy_with_grad(x, targets, axis=axis, out=apart, **options)
    case.holds("out", _same(new[1], apart))


def _same(a, b):
    """Whether two arrays of any of the dtypes hold the same numbers, or NaN."""
    return np.array_equal(np.asarray(a, float), np.asarray(b, float), True)


FUNCTIONS = {
    "divergence": divergence,
    "in place": in_place,
    "masks": masks,
    "top k": top_k,
    "softmax": softmax_family,
    "backward": backward,
    "loss": loss,
    "binary": binary,
    "left out": left_out,
}


# ---- the hunt ----


def _cython():
    from fastsoftmax._backends import cython_impl

    return cython_impl


def implementations(backend, isa):
    """Return the names that match, and load each."""
    for name in conftest.implementation_names():
        kind, _, of = name.partition("-")
        if backend in (None, kind) and (isa is None or of == isa):
            yield name, _cython().load_isa(of) if of else _dispatch.load(name)


def run_case(seed, number, functions=None):
    """Run one case and return it."""
    case = Case(seed, number, functions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FUNCTIONS[case.function](case)
    return case


def describe(case):
    """Return what was drawn, in a line."""
    options = {
        k: (f"{v.min():.3g} to {v.max():.3g}" if isinstance(v, np.ndarray) else v)
        for k, v in case.options.items()
    }
    return f"{case.function} {case.dtype} {case.shape} {case.layout} {case.kind!r} {options}"


def hunt(name, seed, seconds, functions=None, n_cases=None):
    """Hunt with the installed implementation; return (worst errors by function and dtype, what went beyond)."""
    worst, found, number, end = collections.defaultdict(float), [], 0, time.monotonic() + seconds
    while time.monotonic() < end if n_cases is None else number < n_cases:
        case = run_case(seed, number, functions)
        for what, error in case.worst.items():
            key = what, str(case.dtype)
            worst[key] = max(worst[key], error)
            if error > 1:
                found.append(
                    f"{name} --case {seed}:{number}: {what}: {error:.2f} of the bound: {describe(case)}"
                )
        number += 1
    return worst, found, number


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="for each implementation")
    parser.add_argument("--seed", type=int, default=None, help="by default a fresh one")
    parser.add_argument("--backend", choices=["cython", "numba", "numpy"])
    parser.add_argument("--isa")
    parser.add_argument("--function", action="append", choices=list(FUNCTIONS))
    parser.add_argument("--case", help="seed:number of one case")
    options = parser.parse_args()
    seed = (
        options.seed if options.seed is not None else int(np.random.SeedSequence().entropy % 2**31)
    )
    n_found = 0
    for name, module in implementations(options.backend, options.isa):
        _dispatch.select(name, "hunt", module)
        if options.case:
            seed, number = map(int, options.case.split(":"))
            case = run_case(seed, number, options.function)
            print(
                name, describe(case), *(f"{k}: {v:.2f}" for k, v in case.worst.items()), sep="\n  "
            )
            continue
        worst, found, number = hunt(name, seed, options.seconds, options.function)
        n_found += len(found)
        print(f"{name}: {number} cases of seed {seed}; worst errors in units of their bounds:")
        for (what, dtype), error in sorted(worst.items()):
            print(f"  {what:30} {dtype:10} {error:10.3f}")
        print(*(f"! {line}" for line in found[:40]), sep="\n")
        print(f"{len(found)} beyond", flush=True)
    sys.exit(bool(n_found))


if __name__ == "__main__":
    main()
