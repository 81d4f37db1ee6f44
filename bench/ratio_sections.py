"""The sections of `ratios`: each yields the rows of its table, or a string that says what is missing."""

import functools
import importlib.util
import multiprocessing
import tracemalloc
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np

import fastsoftmax as fs
from fastsoftmax import _dispatch
from fastsoftmax._backends import cython_impl
from fastsoftmax._measuring.operations import OPERATIONS

from .ratio_cases import assert_close, columns, judge, prepare, restored, result, under

IN_CACHE = ((1024, 10), (256, 1000))
IN_MEMORY = ((65536, 100), (8192, 1000), (4096, 4096), (512, 32000), (128, 128256))
WITH_AND_WITHOUT_GRAD = ("softmax", "cross_entropy_with_grad")


def dtypes(scale):
    """float16, bfloat16 and float64 beside float32."""
    names = ["float32", "float16", "float64"]
    if importlib.util.find_spec("ml_dtypes"):
        importlib.import_module("ml_dtypes")  # tells NumPy the name
        names.insert(2, "bfloat16")
    else:
        yield "without bfloat16: needs the package ml_dtypes"
    for shape in (*IN_CACHE, *IN_MEMORY):
        logits, targets = scale.inputs(shape)
        by_dtype = {name: logits.astype(name) for name in names}
        yield from between_inputs(scale, by_dtype, targets, OPERATIONS)


def spread(scale):
    """Logits of standard deviation 30 beside logits of standard deviation 3."""
    for shape in ((65536, 10), (8192, 1000), (512, 32000)):
        logits, targets = scale.inputs(shape)
        by_deviation = {"deviation 3": logits, "deviation 30": logits * 10}
        yield from between_inputs(scale, by_deviation, targets, WITH_AND_WITHOUT_GRAD)


def between_inputs(scale, inputs, targets, operations):
    """Yield rows that compare logits of one shape."""
    first = next(iter(inputs.values()))
    for operation in operations:
        for logits in inputs.values():
            judge(operation, logits, targets)
        calls = {name: prepare(operation, logits, targets) for name, logits in inputs.items()}
        yield scale.compare(first, operation, calls)


def columns_beside_rows(scale):
    """The same rows as columns (Fortran order, axis=0, images) beside rows in C order."""
    shapes = (
        (65536, 10), (65536, 21), (65536, 100), (256, 1000), (8192, 1000), (8000, 1001), (1024, 4096),
    )  # fmt: skip
    for shape in shapes:
        logits, targets = scale.inputs(shape)
        for operation in WITH_AND_WITHOUT_GRAD:
            judge(operation, logits, targets)
            want = result(operation, logits, targets)
            calls = {"rows": prepare(operation, logits, targets)}
            for name, laid, laid_targets, axis in columns(logits, targets):
                got = result(operation, laid, laid_targets, axis=axis)
                assert_close(np.moveaxis(got, axis, -1).reshape(logits.shape), want)
                calls[name] = prepare(operation, laid, laid_targets, axis=axis)
            yield scale.compare(logits, operation, calls)


def instruction_sets(scale):
    """The build for x86-64-v3 beside that for x86-64-v4."""
    states = cython_impl.isas()
    for isa in ("v4", "v3"):
        if states[isa].startswith("refused"):
            yield f"skipped: {isa} {states[isa]}"
            return
    builds = {isa: cython_impl.load_isa(isa) for isa in ("v4", "v3")}
    shapes = (*IN_CACHE, (65536, 10), *IN_MEMORY[:4])
    yield from between_implementations(scale, builds, shapes, WITH_AND_WITHOUT_GRAD)


def numba(scale):
    """The Numba back end beside the compiled kernels, for 100 classes and more."""
    if importlib.util.find_spec("numba") is None:
        yield "skipped: needs Numba"
        return
    back_ends = {name: _dispatch.load(name) for name in ("cython", "numba")}
    shapes = ((1024, 128), (1024, 500), (256, 1000), *IN_MEMORY, (1, 128256))
    operations = ("softmax", "cross_entropy", "cross_entropy_with_grad")
    yield from between_implementations(scale, back_ends, shapes, operations)


def between_implementations(scale, implementations, shapes, operations):
    """Yield rows that compare back ends behind the public functions."""
    with restored():
        for shape in shapes:
            logits, targets = scale.inputs(shape)
            for operation in operations:
                calls = {}
                for name, implementation in implementations.items():
                    _dispatch.select(name, "benchmark", implementation)
                    judge(operation, logits, targets)
                    call = prepare(operation, logits, targets)
                    calls[name] = under(implementation, call)
                yield scale.compare(logits, operation, calls)


def copy(scale):
    """softmax(out=) beside a copy of the same bytes by as many threads."""
    n_threads = fs.get_num_threads()
    with ThreadPoolExecutor(n_threads) as pool:
        for shape in IN_MEMORY:
            logits, targets = scale.inputs(shape)
            judge("softmax", logits, targets)
            out = np.empty_like(logits)
            copied = functools.partial(copy_in_parts, pool, n_threads, out, logits)
            copied()
            np.testing.assert_array_equal(out, logits)
            calls = {"softmax": prepare("softmax", logits, targets), "copy": copied}
            yield scale.compare(logits, "softmax", calls)


def copy_in_parts(pool, n_parts, out, logits):
    """Copy by as many threads as parts; np.copyto lets go of the interpreter."""
    parts = (np.array_split(one.ravel(), n_parts) for one in (out, logits))
    list(pool.map(np.copyto, *parts))


def layer(n_rows, n_classes, n_features=512):
    """Return features, the weights of a linear layer and class indices."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n_rows, n_features), dtype=np.float32)
    weight = rng.standard_normal((n_classes, n_features), dtype=np.float32)
    weight *= 0.05
    return x, weight, rng.integers(0, n_classes, n_rows)


def linear(scale):
    """linear_cross_entropy_with_grad beside the same with all logits stored, and beside its three products alone."""
    x, weight, targets = layer(scale.rows(1024), 32000)
    logits = np.empty((len(x), len(weight)), np.float32)

    ours = functools.partial(fs.linear_cross_entropy_with_grad, x, weight, targets)

    def stored():
        np.matmul(x, weight.T, out=logits)
        loss, grad = fs.cross_entropy_with_grad(logits, targets, out=logits)
        return loss, grad @ weight, grad.T @ x

    def products():
        np.matmul(x, weight.T, out=logits)
        return logits @ weight, logits.T @ x

    for got, want in zip(ours()[:3], stored(), strict=True):
        assert_close(got, want)
    calls = {"ours": ours, "logits stored": stored, "products": products}
    row = scale.compare(logits, "linear_cross_entropy_with_grad", calls)
    yield {**row, "shape": f"{len(x)} x {x.shape[1]} x {len(weight)}"}


def memory(scale):
    """What linear_cross_entropy_with_grad allocates at its peak, beyond its arguments and the gradients."""
    context = multiprocessing.get_context("spawn")
    for n_classes in (32000, 128256):
        n_rows = scale.rows(1024)
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            peak = pool.submit(peak_of_linear, n_rows, n_classes).result()
        logits = 4 * n_rows * n_classes
        yield {
            "operation": "linear_cross_entropy_with_grad",
            "shape": f"{n_rows} x 512 x {n_classes}",
            "megabytes": {"peak": peak / 1e6, "logits": logits / 1e6},
            "disturbed": [],
        }


def peak_of_linear(n_rows, n_classes):
    """Return the bytes of arrays, as tracemalloc counts them, in a process of their own."""
    x, weight, targets = layer(n_rows, n_classes)
    fs.linear_cross_entropy_with_grad(x[:1], weight[:2], [0])  # imports are not counted
    tracemalloc.start()
    _, *gradients = fs.linear_cross_entropy_with_grad(x, weight, targets)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak - sum(one.nbytes for one in gradients if one is not None)


def divergences(scale):
    """Entropy, divergence and the largest probabilities beside softmax(out=) of the same logits."""
    for shape in ((1024, 10), (65536, 10), (256, 1000), (8192, 1000)):
        logits, targets = scale.inputs(shape)
        others = logits[::-1].copy()
        judge("softmax", logits, targets)
        with fs.use_backend("numpy"):
            few = slice(0, 16)
            want = fs.kl_div_with_logits(logits[few], others[few], reduction="none")
        assert_close(fs.kl_div_with_logits(logits[few], others[few], reduction="none"), want)
        calls = {
            "softmax": prepare("softmax", logits, targets),
            "entropy": functools.partial(fs.entropy_with_logits, logits),
            "entropy, grad": functools.partial(fs.entropy_with_logits_with_grad, logits),
            "divergence": functools.partial(fs.kl_div_with_logits, logits, others),
            "largest 5": functools.partial(fs.top_k_softmax, logits, 5),
        }
        yield scale.compare(logits, "divergences", calls)


SECTIONS = {
    "dtypes": dtypes,
    "spread": spread,
    "columns": columns_beside_rows,
    "isa": instruction_sets,
    "copy": copy,
    "numba": numba,
    "divergences": divergences,
    "linear": linear,
    "memory": memory,
}
