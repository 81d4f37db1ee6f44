"""Random damage to model files, fitted attributes, options and the arguments of compiled functions.

python tests/fuzz.py --count 5000 --seed 1

Whatever is damaged, a call must raise ValueError, TypeError or IndexError, or return what the NumPy
back end returns: never another exception, a crash, or no answer. A case is a number: seed and number
repeat it (`--first NUMBER --count 1`). The cases run in a process of their own, which says where it
is, so that a crash or a hang has a number too.
"""

import argparse
import contextlib
import copy
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import traceback
import warnings

import numpy as np
from scipy import sparse

import fastsoftmax as fs
from fastsoftmax.estimators import _compiled
from fastsoftmax.estimators._compiled import CompiledLinear
from fastsoftmax.estimators._data import Rows, Split
from fastsoftmax.estimators._losses import LogisticLoss, SoftmaxLoss
from fastsoftmax.estimators._network import glorot_network
from fastsoftmax.estimators._state import OptimizerState
from fastsoftmax.estimators._steps import Rule

CLEAN = (ValueError, TypeError, IndexError)
SILENCE_S = 60.0  # without a word for so long, a process counts as hanging

NASTY = (
    None, True, False, 0, 1, -1, 2, 3, 7, 2**31, 2**53, 2**63, 2**70, -(2**70), 0.5, -0.0, 1e-300, 1e300,
    float("nan"), float("inf"), -float("inf"), "", "x", "O", "<U1", "nan", "\0", "é" * 50, [], {}, [0],
    [None], [[]], ["a", "b"], [1, 2, 3], {"a": 1}, {"dtype": "O"}, {"pairs": [[0, 1.0]]}, {"pairs": 5},
    [1e999], [10**400], "[" * 1000,
)  # fmt: skip


class Wrong(Exception):
    """An outcome that no damage excuses."""


def make_data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(36, 5)).astype(np.float32)
    return X, np.arange(36) % 3


def fitted_models():
    """Return estimators of every kind, each with the y that it has learnt."""
    X, y = make_data()
    labels = np.column_stack([y == 0, y < 2, y % 2])
    words = np.array(["a", "bb", "ccc"])[y]
    options = {"max_iter": 2, "random_state": 0}
    return [
        (fs.MLPClassifier((6,), **options).fit(X, y), y),
        (fs.MLPClassifier((6,), solver="sgd", **options).fit(X, words), words),
        (fs.MLPClassifier((4, 3), **options, early_stopping=True).fit(X, y), y),
        (fs.MLPClassifier((6,), **options).fit(X, labels), labels),
        (fs.MLPClassifier((6,), **options).fit(X, y == 0), y == 0),
        (fs.SoftmaxRegression(solver="adam", **options).fit(X, y), y),
        (fs.SoftmaxRegression(max_iter=3).fit(X.astype(np.float64), words), words),
        (fs.SoftmaxRegression(max_iter=3, class_weight={0: 2.0}).fit(X, y), y),
    ]


# What is done to a number, an array, or a value


def damaged_array(rng, array):
    """Return an array that is shaped, laid out or filled in another way."""
    array = np.array(array)
    axis = int(rng.integers(max(1, array.ndim)))
    ways = [
        lambda: np.delete(array, rng.integers(array.shape[axis]), axis),
        lambda: np.repeat(array, 2, axis=axis),
        lambda: np.take(array, [], axis=axis),
        lambda: array.T,
        lambda: array[..., np.newaxis],
        lambda: array.ravel(),
        lambda: array[0],
        lambda: array.astype(rng.choice(["f2", "f4", "f8", "i4", "i8", "u1", "c8", "?", "O", "U3"])),
        lambda: array.astype(array.dtype.newbyteorder()),
        lambda: np.frombuffer(b"x" + array.tobytes(), np.uint8)[1:].view(array.dtype).reshape(array.shape),
        lambda: np.where(rng.random(array.shape) < 0.2, array.dtype.type(np.nan), array),
        lambda: np.full_like(array, rng.choice([1e30, -1e30, 0, 255, -1, 2**31 - 1])),
        lambda: np.asfortranarray(array),
        lambda: np.broadcast_to(array[:1], array.shape),
        lambda: np.repeat(array, 2, axis=-1)[..., ::2],
        lambda: array[::-1],
        lambda: np.ma.masked_array(array, mask=True),
        lambda: np.matrix(array) if array.ndim == 2 else np.float32(3),
        lambda: array.tolist(),
        lambda: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),  # read-only
    ]  # fmt: skip
    try:
        with np.errstate(all="ignore"):
            return ways[rng.integers(len(ways))]()
    except (ValueError, TypeError, IndexError, OverflowError):
        return array[:0]


def damaged_sparse(rng, array):
    """Return rows in CSR or CSC whose parts need not fit each other."""
    with np.errstate(all="ignore"):
        matrix = sparse.csr_matrix(np.where(rng.random(array.shape) < 0.5, array, 0))
    matrix = matrix.asformat(str(rng.choice(["csr", "csc"])))
    name = str(rng.choice(["indices", "indptr", "data"]))
    vector = getattr(matrix, name).copy()
    if rng.random() < 0.5:
        vector[rng.integers(len(vector))] = rng.choice([-1, 5, 36, 10**7, -(10**7), 2**31 - 1])
    else:
        vector = damaged_array(rng, vector)
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        setattr(matrix, name, vector)
    return matrix


def damaged_value(rng, value):
    """Return a value in the place of another, an array perhaps."""
    if isinstance(value, np.ndarray) and rng.random() < 0.8:
        return damaged_array(rng, value)
    if isinstance(value, list) and value and rng.random() < 0.7:
        return damaged_list(rng, value)
    if isinstance(value, (int, float)) and rng.random() < 0.2:
        return value * rng.choice([-1, 0, 2, 1e-40, 1e40, np.nan])
    return copy.deepcopy(NASTY[rng.integers(len(NASTY))])


def damaged_list(rng, values):
    """Return a list with an item changed, dropped, repeated, or moved."""
    values, at = list(values), int(rng.integers(len(values)))
    way = rng.integers(5)
    if way == 0:
        del values[at]
    elif way == 1:
        values.append(values[at])
    elif way == 2:
        values.reverse()
    else:
        values[at] = damaged_value(rng, values[at])
    return values


# Files


def damaged_bytes(rng, content):
    """Return a file cut, or with some bits or bytes changed."""
    content = bytearray(content)
    end = len(content) if rng.random() < 0.5 else 8 + struct.unpack("<Q", content[:8])[0]
    way = rng.integers(4)
    if way == 0:
        return content[: rng.integers(len(content))]
    if way == 1:
        return content + rng.bytes(rng.integers(1, 50))
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(end))
        if way == 2:
            content[at] ^= 1 << int(rng.integers(8))
        else:
            content[at : at + int(rng.integers(3))] = rng.bytes(rng.integers(3))
    return content


def parts_of(content):
    """Return the metadata of the model, and the entries and data of its arrays."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    return json.loads(header["__metadata__"]["fastsoftmax"]), header, content[8 + length :]


def joined(metadata, header, data):
    """Return the file of such parts."""
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    header = {**header, "__metadata__": {**header["__metadata__"], "fastsoftmax": text}}
    header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def damaged_fields(rng, content):
    """Return a file with fields of its metadata changed, somewhere within."""
    metadata, header, data = parts_of(content)
    if rng.random() < 0.05:
        return joined("[" * 100_000, header, data)
    for _ in range(rng.integers(1, 3)):
        place = metadata
        while True:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = keys[rng.integers(len(keys))]
            if isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.7:
                place = place[key]
                continue
            break
        if rng.random() < 0.2:
            del place[key]
        else:
            place[key] = damaged_value(rng, place[key])
        if not metadata:
            break
    return joined(metadata, header, data)


def damaged_tensors(rng, content):
    """Return a file with an array cut, renamed, of another shape or dtype, or not finite."""
    metadata, header, data = parts_of(content)
    data = bytearray(data)
    names = sorted(set(header) - {"__metadata__"})
    name = names[rng.integers(len(names))]
    entry, way = header[name], rng.integers(6)
    start, end = entry["data_offsets"]
    if way == 0:
        entry["shape"] = [int(n) for n in rng.permutation([*entry["shape"], 1])]
    elif way == 1:
        entry["dtype"] = str(rng.choice(["F16", "BF16", "F32", "F64", "I32", "U8", "BOOL"]))
    elif way == 2:
        header[str(rng.choice(["extra", "best.coefs.0", "last.coefs.9"]))] = header.pop(name)
    elif way == 3:
        data[start : start + 8] = struct.pack("<d", np.nan)[-(end - start) :]
    elif way == 4:
        data[start:end] = rng.bytes(end - start)
    else:
        entry["shape"] = damaged_list(rng, entry["shape"] or [1])
    return joined(metadata, header, bytes(data))


def check_file(rng, estimator, y, damage):
    """Load and resume a damaged file."""
    X, _ = make_data()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        estimator.save(path, training_state=estimator.solver != "lbfgs" and rng.random() < 0.7)
        with open(path, "rb") as file:
            content = file.read()
        with open(path, "wb") as file:
            file.write(damage(rng, content))
        if rng.random() < 0.5 and estimator.solver != "lbfgs":
            fresh = type(estimator)(**estimator.get_params()).set_params(max_iter=4)
            check_predictions(fresh.fit(X, y, resume_from=path), X)
        else:
            loaded = fs.load_model(path)
            check_predictions(loaded, np.zeros((3, loaded.n_features_in_), np.float32))
            loaded.save(path)


# Fitted estimators


def check_predictions(estimator, X):
    """Raise unless the estimator predicts what it predicts with the NumPy back end."""
    ways = (estimator.predict_proba, estimator.predict_log_proba, estimator.decision_function)
    for predict in ways:
        mine = predict(X)
        with fs.use_backend("numpy"):
            theirs = predict(X)
        with np.errstate(all="ignore"):
            tolerance = 1e-3 * (1 + np.abs(theirs[np.isfinite(theirs)]).max(initial=0))
            same = mine.shape == theirs.shape
            same &= np.allclose(mine, theirs, rtol=1e-2, atol=tolerance, equal_nan=True)
        if not same:
            raise Wrong(f"{mine} instead of {theirs}")
    if len(estimator.predict(X)) != len(X):
        raise Wrong("predictions are missing")


ATTRIBUTES = (
    "coef_", "intercept_", "coefs_", "intercepts_", "classes_", "multilabel_", "temperature_", "input_scale_",
    "n_features_in_", "n_iter_", "history_", "converged_",
)  # fmt: skip


def use(rng, estimator, X, y):
    """Use a fitted estimator in one of the ways that there are."""
    way = rng.integers(9)
    if way == 0:
        check_predictions(estimator, X)
    elif way == 7:
        with contextlib.redirect_stdout(io.StringIO()):
            estimator.summary() if hasattr(estimator, "summary") else estimator.sparsify()
        check_predictions(estimator, X)
    elif way == 8:
        rows = damaged_sparse(rng, X)
        estimator.predict_proba(rows)
        check_predictions(estimator.fit(rows, y), X)
    elif way == 1:
        estimator.evaluate(X, y)
    elif way == 2:
        estimator.calibrate(X, y)
    elif way == 3:
        estimator.partial_fit(X, y) if hasattr(estimator, "partial_fit") else estimator.score(X, y)
        check_predictions(estimator, X)
    elif way == 4:
        check_predictions(estimator.set_params(warm_start=True).fit(X, y), X)
    elif way == 5:
        estimator.predict(X)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model")
            estimator.save(path, training_state=True)
            check_predictions(fs.load_model(path), X)


def check_attributes(rng, estimator, y):
    X, _ = make_data()
    estimator = copy.deepcopy(estimator)
    for _ in range(rng.integers(1, 3)):
        names = [name for name in ATTRIBUTES if hasattr(estimator, name)]
        name = names[rng.integers(len(names))]
        if rng.random() < 0.05:
            delattr(estimator, name)
        else:
            setattr(estimator, name, damaged_value(rng, getattr(estimator, name)))
        if not hasattr(estimator, "classes_"):
            break
    use(rng, estimator, X, y)


def check_options(rng, estimator, y):
    X, _ = make_data()
    estimator = copy.deepcopy(estimator)
    names = sorted(set(estimator.get_params()) - {"hidden_layer_sizes", "verbose"})
    for _ in range(rng.integers(1, 3)):
        name = str(rng.choice(names))
        value = damaged_value(rng, getattr(estimator, name))
        if name == "max_iter" and isinstance(value, int) and value > 5:
            value = 5
        estimator.set_params(**{name: value})
    weights = damaged_value(rng, np.ones(len(X))) if rng.random() < 0.3 else None
    if rng.random() < 0.5:
        estimator.fit(damaged_value(rng, X) if rng.random() < 0.3 else X, y, weights)
        check_predictions(estimator, X)
    else:
        use(rng, estimator, X, y)


# Compiled functions


def numpy_arrays(arguments, path=()):
    """Yield the place of each array and number within nested arguments."""
    items = arguments.items() if isinstance(arguments, dict) else enumerate(arguments)
    for key, value in items:
        if isinstance(value, (dict, list)):
            yield from numpy_arrays(value, (*path, key))
        elif isinstance(value, (np.ndarray, int)):
            yield (*path, key)


def copied(value):
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value.copy() if isinstance(value, np.ndarray) else value


def recorded_call(rng):
    """Return a compiled function and the arguments of a call of it that is right."""
    kernels, calls = _compiled.kernels(), []

    class Recorder:
        def __getattr__(self, name):
            function = train if name == "Trainer" else getattr(kernels, name)
            if name not in ("Trainer", "forward", "linear_loss_gradient"):
                return function

            def call(*arguments):
                calls.append((function, [copied(argument) for argument in arguments]))
                return function(*arguments)

            return call

    def train(*arguments):
        """Make a network and train it once."""
        return kernels.Trainer(*arguments[:8]).train(*arguments[8:])

    dtype = rng.choice([np.float32, np.float64])
    X, y = make_data()
    X, multi = X.astype(dtype), bool(rng.random() < 0.5)
    n_outputs = int(rng.integers(1, 9)) if multi else 3
    targets = (
        rng.integers(0, 2, (len(X), n_outputs)).astype(np.uint8) if multi else y.astype(np.int32)
    )
    weights = rng.random(len(X)) if rng.random() < 0.5 else None
    loss, recorder = (LogisticLoss if multi else SoftmaxLoss)(), Recorder()
    if rng.random() < 0.5:
        network = glorot_network((5, 9, n_outputs), dtype, rng)
        state = OptimizerState.zeros(network)
        rule = Rule(str(rng.choice(["adam", "sgd"])))
        options = (rule, 0.0, multi, 8, 1)
        order = rng.permutation(len(X))
        data = (X, 1.0, targets, weights, order, 0.01, 0)
        recorder.Trainer(network.arrays, state.first, state.second, *options, *data)
    elif rng.random() < 0.5:
        network = glorot_network((5, n_outputs), dtype, rng)
        split = Split(Rows(X, 1.0), targets, weights)
        CompiledLinear(recorder, network, loss, split)(network)
    else:
        network = glorot_network((5, 9, n_outputs), dtype, rng)
        out = np.empty((len(X), n_outputs), dtype)
        recorder.forward(X, 1.0, network.coefs, network.intercepts, out, 2)
    return calls[0]


def check_compiled(rng, *_):
    if _compiled.kernels() is None:  # Python alone: there is none to call
        return
    function, arguments = recorded_call(rng)
    for _ in range(rng.integers(1, 3)):
        places = list(numpy_arrays(arguments))
        *path, last = places[rng.integers(len(places))]
        holder = arguments
        for key in path:
            holder = holder[key]
        value = damaged_value(rng, holder[last])
        is_count = isinstance(holder[last], int) and isinstance(value, int)
        # A large number of threads is no damage, but takes them all.
        holder[last] = value if not is_count or path or last < len(arguments) - 1 else min(value, 4)
    # Cython's word for an integer beyond ptrdiff_t, and NumPy's for a batch beyond the memory
    with contextlib.suppress(OverflowError, MemoryError):
        function(*arguments)


CHECKS = (
    lambda rng, model: check_file(rng, *model, damaged_bytes),
    lambda rng, model: check_file(rng, *model, damaged_fields),
    lambda rng, model: check_file(rng, *model, damaged_fields),
    lambda rng, model: check_file(rng, *model, damaged_tensors),
    lambda rng, model: check_attributes(rng, *model),
    lambda rng, model: check_attributes(rng, *model),
    lambda rng, model: check_options(rng, *model),
    lambda rng, model: check_compiled(rng, *model),
)


def run_cases(seed, first, count):
    """Run cases; print the number of each before it, and what is wrong with it."""
    warnings.simplefilter("ignore")
    models = fitted_models()
    for number in range(first, first + count):
        print(number, flush=True)
        rng = np.random.default_rng((seed, number))
        model = models[rng.integers(len(models))]
        try:
            CHECKS[rng.integers(len(CHECKS))](rng, model)
        except CLEAN:
            pass
        except Exception:
            where = traceback.format_exc().strip().splitlines()
            print(f"wrong {number}: {where[-1]} ({' '.join(where[-3:-1])})", flush=True)


def find_faults(seed, count, first=0):
    """Return a line for each fault among the cases, crashes and hangs included."""
    faults, end = [], first + count
    while first < end:
        command = [sys.executable, "-X", "faulthandler", os.path.abspath(__file__)]
        command += ["--cases", str(seed), "--first", str(first), "--count", str(end - first)]
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
            last, found = watch(process, first)
            faults += found
            if process.returncode == 0:
                return faults
            errors.seek(0)
            faults.append(f"wrong {last}: exit {process.returncode}: {errors.read()[-600:]}")
            first = last + 1
    return faults


def watch(process, first):
    """Read what a process says until it ends or falls silent; return (last number, faults)."""
    import queue
    import threading

    lines, last, faults = queue.Queue(), first, []

    def read():
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        while (line := lines.get(timeout=SILENCE_S)) is not None:
            if line.startswith("wrong"):
                faults.append(line.strip())
            else:
                last = int(line)
    except queue.Empty:
        process.kill()
        faults.append(f"wrong {last}: no answer within {SILENCE_S:g} s")
    thread.join()
    process.stdout.close()
    process.wait()
    return last, faults


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--cases", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.cases is not None:
        run_cases(args.cases, args.first, args.count)
        return 0
    faults = find_faults(args.seed, args.count, args.first)
    print(*faults, sep="\n")
    print(f"{len(faults)} faults in {args.count} cases of seed {args.seed}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
