"""`fastsoftmax train --dask`: Parquet files that are larger than memory, on workers of Dask.

Each pass over the rows reads the files anew, a few row groups at a time, unless they fit in the workers'
memory. The columns are numbers.
"""

import functools
import glob
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import _models
from ._columns import Rule
from ._csv import Format, Wanted
from ._dask_workers import MB, client_of, memory_of_a_thread, told_of_workers
from ._errors import CommandError
from ._fitting import BATCH_SIZE, EPOCHS, LEARNING_RATE, batch_options, fit_or_stop, told
from ._notes import Notes
from ._option_types import byte_count, positive_int
from ._parquet_parts import (
    Part,
    Source,
    check_columns,
    dtype_for,
    files_of,
    joined_moments,
    moments_of,
    parts_of,
    read_part,
)
from ._printing import print_fields, print_json
from ._report import MOST_CLASSES, print_matrix
from ._splitting import DEFAULT_TEST_SIZE

PARTS_OF_MEMORY = 24
"""How many parts a thread's share of the memory would hold: a task copies its own a few times."""

COPIES = 4
"""How many times a task holds its part: as it is read, as it is learned from, and in between."""

MOST_BYTES = 64 << 20
"""Of a part, whatever memory there is."""

REFUSED = (
    *("dataset", "data_dir", "categorical", "missing", "validation", "plots"),
    *Format._fields,
)


def add_arguments(group):
    """Declare the options that go with --dask."""
    group.add_argument(
        "--dask",
        action="store_true",
        help="read --data, a Parquet file, a folder of them or a pattern such as 'folder/*.parquet', part "
        "by part, on workers of Dask: for more rows than memory holds (default: no)",
    )
    group.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a running cluster, such as tcp://host:8786 (default: workers on this machine, which end with "
        "the command)",
    )
    group.add_argument(
        "--workers",
        type=positive_int,
        metavar="N",
        help="processes on this machine, which share its processors (default: 1)",
    )
    group.add_argument(
        "--memory-limit",
        type=byte_count,
        metavar="SIZE",
        help="memory of each worker on this machine, such as 4GB (default: its share of what the machine has)",
    )


def check_options(args):
    """Raise about options that exclude each other."""
    with_dask = ("scheduler", "workers", "memory_limit")
    if not args.dask:
        for option in with_dask:
            if getattr(args, option) is not None:
                raise CommandError(f"--{option.replace('_', '-')} is for --dask")
        _refuse_several_files(args.data)
        return
    if args.data is None:
        raise CommandError("--dask needs --data, Parquet files")
    for option in REFUSED:
        if getattr(args, option) is not None:
            raise CommandError(f"--dask and --{option.replace('_', '-')} exclude each other")
    if args.test_size is not None and not args.test_size < 1:
        raise CommandError("--test-size must be a share below 1 with --dask")
    if args.scheduler is not None:
        for option in with_dask[1:]:
            if getattr(args, option) is not None:
                name = option.replace("_", "-")
                raise CommandError(f"--scheduler and --{name} exclude each other")


def _refuse_several_files(data):
    """Raise about what only --dask reads: a folder, or a pattern that files match."""
    if data is None or os.path.isfile(data):
        return
    is_folder = os.path.isdir(data)
    if is_folder or (glob.has_magic(data) and glob.glob(data, recursive=True)):
        kind = "a folder" if is_folder else "a pattern"
        raise CommandError(
            f"{data} is {kind}, expected a file; with --dask it stands for Parquet files"
        )


def default_name(args):
    """Return the name of the model file where --save says none."""
    path = Path(args.data)
    name = path.parent.name if glob.has_magic(path.name) else path.stem
    return f"{name or 'data'}-{args.model}.safetensors"


def run(args, path):
    """Read, train, test, save; print each as it is known."""
    module = _module()
    files = files_of(args.data)
    with client_of(args) as client, told_of_workers():
        data = _look(args, files, client)
        if not args.json:
            print_fields(_shown(args, data, client))
            print(flush=True)
        estimator = _fit(args, module, client, data)
        rules = [Rule(name, None, None) for name in data.source.features]
        estimator._notes = Notes(target=args.target, rules=rules, on_dask=True).to_json()
        _models.save(estimator, path)
        found = _assess(client, estimator, data)
    written = {"model": str(path)}
    if args.json:
        about = {
            "name": args.data,
            "files": len(files),
            "parts": len(data.parts),
            "n_rows": data.n_rows,
            "features": data.source.features,
            "test_size": data.source.test_size,
            "seed": args.seed,
        }
        ended = {"history": estimator.history_, **told(estimator)}
        print_json({"data": about, **ended, "test": found, **written})
        return
    print(f"\ntest loss {found['loss']:.4f}, test accuracy {found['accuracy']:.4f}\n")
    if len(found["classes"]) <= MOST_CLASSES:
        print("confusion matrix (a row per true class, a column per predicted class)")
        print_matrix(found["classes"], found["confusion_matrix"])
        print()
    print_fields(written)


def _module():
    _models.estimators()
    try:
        import fastsoftmax.dask as module
    except ImportError as error:
        raise CommandError(str(error)) from error
    return module


class Data(NamedTuple):
    """The parts of the files, and how each is read."""

    parts: list[Part]
    source: Source
    n_rows: int
    standardize: bool


def _look(args, files, client):
    """Return the Data: what the files say of themselves, cut into parts that memory holds."""
    chosen = None if args.features is None else list(dict.fromkeys(args.features))
    wanted = Wanted(args.target, chosen, args.drop or (), guess=True)
    features = wanted.names(files[0].path, list(files[0].types))
    check_columns(files, features, args.target)
    standardize = True if args.standardize is None else args.standardize
    dtype = np.dtype(np.float64) if standardize else dtype_for(files, features)
    test_size = DEFAULT_TEST_SIZE if args.test_size is None else args.test_size
    source = Source(features, args.target, dtype, test_size, args.seed)
    row_bytes, memory = len(features) * dtype.itemsize, memory_of_a_thread(client)
    n_bytes = min(MOST_BYTES, memory / PARTS_OF_MEMORY)
    parts = parts_of(files, row_bytes, n_bytes)
    _warn_of_row_groups(max(parts, key=lambda part: part.n_rows), row_bytes, memory)
    return Data(parts, source, sum(part.n_rows for part in parts), standardize)


def _warn_of_row_groups(part, row_bytes, memory):
    """Warn of a part that a task could hardly hold: a row group is the least that is read."""
    n_bytes = part.n_rows * row_bytes
    if n_bytes > memory / COPIES:
        warnings.warn(
            f"{part.path}: a row group of {part.n_rows} rows takes {n_bytes / MB:.0f} MB, and a task copies "
            f"it, but a thread of a worker has {memory / MB:.0f} MB: should memory not suffice, raise "
            "--memory-limit or write smaller row groups",
            UserWarning,
            stacklevel=2,
        )


def _shown(args, data, client):
    threads = client.nthreads().values()
    return {
        "data": f"{args.data}: {data.n_rows} rows, read in {len(data.parts)} parts",
        "rows": f"{data.source.test_size:.0%} to test, at random",
        "features": f"{len(data.source.features)}, {data.source.dtype}"
        f"{', standardized' if data.standardize else ''}",
        "workers": f"{len(threads)}, threads: {sum(threads)}",
        "dashboard": client.dashboard_link,
        "seed": args.seed,
    }


def _read(data, *, test=False):
    """Return delayed pieces of features and of labels."""
    from dask import delayed

    source = delayed(data.source, traverse=False)
    read = delayed(read_part, pure=False, nout=2)
    pieces = [read(delayed(part, traverse=False), source, test=test) for part in data.parts]
    return [X for X, _ in pieces], [y for _, y in pieces]


def _fit(args, module, client, data):
    """Return the trained estimator of one machine, standardisation folded in."""
    if data.standardize:
        mean, scale = _standardization(client, data)
        data = data._replace(source=data.source._replace(mean=mean, scale=scale))
    estimator = _estimator(args, module, client)
    fit_or_stop(estimator, *_read(data), None, asked=args.epochs is not None)
    local = estimator.to_local()
    if data.standardize:
        with np.errstate(all="ignore"):
            _models.fold(local, mean, scale)
    return local


def _estimator(args, module, client):
    linear = args.model == "softmax"
    solver = args.solver or ("auto" if linear and not batch_options(args) else "adam")
    options = {} if linear else {"hidden_layer_sizes": args.hidden or (128,)}
    if solver in ("adam", "sgd"):
        options["batch_size"] = args.batch_size or BATCH_SIZE
        options["learning_rate_init"] = args.learning_rate or LEARNING_RATE
        options["early_stopping"] = args.early_stopping
    return getattr(module, _models.CLASSES[args.model])(
        **options,
        class_weight=args.class_weight,
        solver=solver,
        max_iter=args.epochs or EPOCHS["other" if solver in ("adam", "sgd") else "exact"],
        random_state=args.seed,
        verbose=0 if args.json else 1,
        client=client,
    )


def _standardization(client, data):
    """Return the mean and the scale of each feature: its standard deviation, 1 for a constant."""
    X, _ = _read(data)
    n_rows, mean, squares = functools.reduce(joined_moments, _results(client, moments_of, X))
    deviation = np.sqrt(squares / n_rows)
    if not np.isfinite(deviation).all():
        name = data.source.features[int(np.argmin(np.isfinite(deviation)))]
        raise CommandError(f"column {name!r} is too large to be standardized: --no-standardize")
    return mean, _models.scales_of(deviation, np.abs(mean))


def _results(client, function, *columns):
    """Return what a function says about each piece, in order."""
    from dask import delayed

    from fastsoftmax.dask import _cluster

    call = delayed(function, pure=False)
    try:
        return _cluster.Cluster(client).results([call(*row) for row in zip(*columns, strict=True)])
    except (OSError, ValueError, TypeError) as error:
        raise CommandError(str(error)) from error


def _assess(client, estimator, data):
    """Return loss, accuracy and confusion matrix on the test rows, in one pass."""
    assess = functools.partial(_assess_part, estimator)
    found = _results(client, assess, *_read(data, test=True))
    sums, matrix = (sum(values) for values in zip(*found, strict=True))
    n_rows = int(sums[0])
    if not n_rows:
        raise CommandError("there are no test rows: raise --test-size")
    return {
        "loss": sums[1] / n_rows,
        "accuracy": sums[2] / n_rows,
        "n_rows": n_rows,
        "classes": estimator.classes_.tolist(),
        "confusion_matrix": matrix.tolist(),
    }


def _assess_part(estimator, X, y):
    """Return (rows, sum of losses, rows that are right) and the confusion matrix of some rows."""
    from sklearn.metrics import confusion_matrix

    n_classes = len(estimator.classes_)
    if not len(X):
        return np.zeros(3), np.zeros((n_classes, n_classes), dtype=np.int64)
    figures = estimator.evaluate(X, y)
    labels = estimator.classes_
    matrix = confusion_matrix(np.asarray(y, labels.dtype), estimator.predict(X), labels=labels)
    return len(X) * np.array([1.0, figures["loss"], figures["accuracy"]]), matrix
