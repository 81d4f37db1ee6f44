"""Train a classifier on a table or a dataset, test it and save it.

Without options it learns the handwritten digits that scikit-learn carries, with no download.
"""

import argparse
import math
import shlex
import warnings
from pathlib import Path

import numpy as np

from . import _models, _pictures
from ._errors import CommandError
from ._printing import print_fields, print_json
from ._reading import read_table
from ._report import assess, print_assessment
from ._rows import Rows, add_dataset_arguments, load_dataset
from ._splitting import split


def add_arguments(parser):
    """Declare the options of `fastsoftmax train`."""
    data = parser.add_argument_group("data (the digits of scikit-learn by default)")
    data.add_argument("--data", metavar="FILE", help="a CSV or .npz file")
    data.add_argument("--target", metavar="NAME", help="its column or array of labels")
    add_dataset_arguments(data)
    data.add_argument(
        "--test-size", type=_test_size, help="share or number of rows to test on (0.2)"
    )
    data.add_argument(
        "--standardize", action="store_true", help="features to mean 0 and deviation 1, for good"
    )
    model = parser.add_argument_group("model")
    model.add_argument("--model", choices=tuple(_models.CLASSES), default="softmax")
    model.add_argument(
        "--hidden", type=_sizes, metavar="N[,N...]", help="hidden units of --model mlp (128)"
    )
    model.add_argument("--epochs", type=_positive_int, default=20)
    model.add_argument("--batch-size", type=_positive_int, default=32)
    model.add_argument("--learning-rate", type=_positive_float, default=1e-3)
    model.add_argument("--seed", type=_seed, default=0)
    parser.add_argument(
        "--save", metavar="PATH", help="the model file (<data>-<model>.safetensors, here)"
    )
    parser.add_argument(
        "--plots",
        metavar="DIR",
        help="a folder for pictures: history, confusion matrix and reliability; decision regions of "
        "two features; weights of each class of --model softmax on images",
    )


def _positive_int(text):
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _seed(text):
    if not (text.isascii() and text.isdigit() and int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"expected a whole number in [0, 2**32), got {text!r}")
    return int(text)


def _positive_float(text):
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return number


def _sizes(text):
    return tuple(_positive_int(size.strip()) for size in text.split(","))


def _test_size(text):
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    number = _positive_float(text)
    if number >= 1:
        raise argparse.ArgumentTypeError(f"expected a share below 1 or a count, got {text!r}")
    return number


def run(args):
    """Read, train, test, save; print each as it is known."""
    rows = _load(args)
    estimator_class = getattr(_models.estimators(), _models.CLASSES[args.model])
    default = f"{Path(rows.name).stem}-{args.model}.safetensors"
    path = Path(default if args.save is None else args.save)
    _check_folder(path)
    parts = split(rows, args.test_size, args.seed)
    folder = None if args.plots is None else _pictures.prepare(args.plots)
    about = _describe(args, rows, parts)
    if not args.json:
        _print_data(about)
    estimator = _fit(args, estimator_class, rows, parts)
    _models.save(estimator, path)
    X_test = _models.as_input(estimator, parts.X_test)
    found = assess(estimator, X_test, parts.y_test)
    written = {"model": str(path)}
    if folder is not None:
        shape = _pictures.image_shape(rows.X)
        drawn = _pictures.draw(folder, estimator, X_test, parts.y_test, shape)
        written["plots"] = [str(picture) for picture in drawn]
    written["next"] = next_command(args, path)
    if args.json:
        report = {name: value for name, value in found.items() if name != "text"}
        print_json({"data": about, "history": estimator.history_, "test": report, **written})
        return
    print()
    print_assessment(found)
    print()
    print_fields(written)


def _load(args):
    if args.hidden is not None and args.model != "mlp":
        raise CommandError("--hidden is for --model mlp")
    if args.data is None:
        if args.target is not None:
            raise CommandError("--target is for --data; a dataset has labels of its own")
        return load_dataset(args.dataset or "digits", args.data_dir)
    for option in ("dataset", "data_dir"):
        if getattr(args, option) is not None:
            raise CommandError(f"--data and --{option.replace('_', '-')} exclude each other")
    if args.target is None:
        raise CommandError("--data needs --target NAME, the column or array of labels")
    table = read_table(args.data, args.target)
    return Rows(args.data, table.X, table.y, table.features, None)


def _check_folder(path):
    """Raise before hours of training, not after, about a model file that cannot be written."""
    if path.exists() and not path.is_file():
        raise CommandError(f"--save: {path} is there and is not a file")
    if not path.parent.is_dir():
        raise CommandError(f"--save: there is no folder {path.parent}")


def _describe(args, rows, parts):
    """Return what the model learns from, as a dict."""
    return {
        "name": rows.name,
        "n_train": len(parts.X),
        "n_test": len(parts.X_test),
        "split": parts.how,
        "shape": list(rows.X.shape[1:]),
        "dtype": rows.X.dtype.name,
        "features": rows.features,
        "standardized": args.standardize,
        "classes": np.unique(rows.y).tolist(),
        "seed": args.seed,
    }


def _print_data(about):
    classes = about["classes"]
    shown = ", ".join(str(name) for name in classes[:10]) + (", ..." if len(classes) > 10 else "")
    shape = " x ".join(str(size) for size in about["shape"])
    print_fields(
        {
            "data": about["name"],
            "rows": f"{about['n_train']} to train, {about['n_test']} to test ({about['split']})",
            "features": f"{shape}, {about['dtype']}"
            + (", standardized" if about["standardized"] else ""),
            "classes": f"{len(classes)}: {shown}",
            "seed": about["seed"],
        }
    )
    print(flush=True)


def _fit(args, estimator_class, rows, parts):
    """Return the trained estimator, standardisation folded in."""
    options = {} if args.model == "softmax" else {"hidden_layer_sizes": args.hidden or (128,)}
    estimator = estimator_class(
        **options,
        solver="adam",
        max_iter=args.epochs,
        batch_size=args.batch_size,
        learning_rate_init=args.learning_rate,
        random_state=args.seed,
        verbose=0 if args.json else 1,
    )
    X, is_uint8 = parts.X, parts.X.dtype == np.uint8
    if args.standardize:
        X = X.reshape(len(X), -1).astype(np.float32 if is_uint8 else np.float64)
        mean, scale = _models.standardization(X)
        X -= mean.astype(X.dtype)
        X /= scale.astype(X.dtype)
    if rows.features is not None:
        X = _models.named(X, rows.features)
    _fit_or_stop(estimator, X, parts.y)
    if args.standardize:
        _models.fold(estimator, mean, scale, is_uint8=is_uint8)
    return estimator


def _fit_or_stop(estimator, X, y):
    """Fit; Ctrl-C, after which `fit` keeps what it has, ends the command."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "training was interrupted", UserWarning)
        try:
            estimator.fit(X, y)
        except UserWarning:
            raise KeyboardInterrupt from None
        except (ValueError, TypeError) as error:
            raise CommandError(str(error)) from error


def next_command(args, path):
    """Return the command that uses the model."""
    if args.data is not None:
        words = ["predict", path, args.data]
    else:
        words = ["evaluate", path, "--dataset", args.dataset or "digits"]
        words += ["--data-dir", args.data_dir] if args.data_dir is not None else []
    return shlex.join(["fastsoftmax", *(str(word) for word in words)])
