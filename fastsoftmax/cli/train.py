"""Train a classifier on a table or a dataset, test it and save it.

Without options it learns the handwritten digits that scikit-learn carries, with no download.
"""

import argparse
import math
import os
import shlex
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import _models, _notes, _pictures
from ._columns import learn_rules, to_features, which_are_numbers
from ._contents import STANDARD_INPUT
from ._csv import Wanted
from ._errors import CommandError, missing_extra
from ._notes import Held, Notes
from ._printing import print_fields, print_json
from ._reading import read_table
from ._report import assess, print_assessment
from ._rows import (
    Rows,
    add_dataset_arguments,
    add_format_arguments,
    format_of,
    load_dataset,
    refuse_format,
)
from ._splitting import check_classes, default_test_size, hold_out

SOLVERS = ("lbfgs", "adam", "sgd")
EPOCHS = {"lbfgs": 1000, "table": 200, "other": 20}
BATCH_SIZE = 32
LEARNING_RATE = 1e-3
WORSE_THAN_GUESSING = 2  # times the loss of equal probabilities

MOST_OF_A_TABLE = 100
"""Bytes above this in rows without shape are pixels."""


def add_arguments(parser):
    """Declare the options of `fastsoftmax train`."""
    data = parser.add_argument_group("data (the digits of scikit-learn by default)")
    data.add_argument("--data", metavar="FILE", help="CSV, Parquet, Arrow or .npz; - is stdin")
    data.add_argument("--target", metavar="NAME", help="its column or array of labels")
    data.add_argument("--features", type=_names, metavar="NAME[,NAME...]", help="columns to take")
    data.add_argument("--drop", type=_names, metavar="NAME[,NAME...]", help="columns to leave out")
    data.add_argument(
        "--categorical",
        type=_names,
        metavar="NAME[,NAME...]",
        help="columns of numbers, or of many texts, whose values are categories",
    )
    data.add_argument(
        "--missing",
        choices=("refuse", "fill"),
        help="fill missing values with the median or the most frequent text (refuse)",
    )
    add_format_arguments(data)
    add_dataset_arguments(data)
    data.add_argument("--test-size", type=_size, help="share or number of rows to test on (0.2)")
    data.add_argument(
        "--validation",
        type=_size,
        metavar="SIZE",
        help="share or number of the other rows to follow the training with (none)",
    )
    data.add_argument(
        "--standardize",
        action=argparse.BooleanOptionalAction,
        help="numbers to mean 0 and deviation 1, for good (tables: yes; arrays: no)",
    )
    model = parser.add_argument_group("model")
    model.add_argument("--model", choices=tuple(_models.CLASSES), default="softmax")
    model.add_argument(
        "--hidden", type=_sizes, metavar="N[,N...]", help="hidden units of --model mlp (128)"
    )
    model.add_argument(
        "--solver",
        choices=SOLVERS,
        help="lbfgs finds the exact minimum, and is the default of --model softmax on tables without "
        "--batch-size and --learning-rate; else adam",
    )
    model.add_argument(
        "--epochs",
        type=_positive_int,
        help="at most (20; on tables 200); iterations of lbfgs (1000)",
    )
    model.add_argument("--batch-size", type=_positive_int, help=f"({BATCH_SIZE})")
    model.add_argument("--learning-rate", type=_positive_float, help=f"({LEARNING_RATE})")
    model.add_argument("--seed", type=_seed, default=0)
    parser.add_argument(
        "--save", metavar="PATH", help="the model file (<data>-<model>.safetensors, here)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a model file or pictures that are there"
    )
    parser.add_argument(
        "--plots",
        metavar="DIR",
        help="a folder for pictures: history, confusion matrix and reliability; decision regions of "
        "two features; weights of each class of --model softmax on images",
    )


def _positive_int(text):
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _seed(text):
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) < 2**32):
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


def _names(text):
    return tuple(text.split(","))


def _size(text):
    if text.isascii() and text.isdigit() and len(text) < 16 and int(text) > 0:
        return int(text)
    number = _positive_float(text)
    if number >= 1:
        raise argparse.ArgumentTypeError(f"expected a share below 1 or a count, got {text!r}")
    return number


class Data(NamedTuple):
    """Rows to train, validate and test with, and what the model file says about them."""

    X: np.ndarray
    y: np.ndarray
    validation: tuple[np.ndarray, np.ndarray] | None
    X_test: np.ndarray
    y_test: np.ndarray
    notes: Notes
    how: str  # the rows were split
    shape: tuple[int, ...]  # of a row

    @property
    def features(self):
        """The names of the features; None if they have none."""
        rules = self.notes.rules
        return None if rules is None else [name for rule in rules for name in rule.features]


class Recipe(NamedTuple):
    """How to train."""

    solver: str
    epochs: int
    standardize: bool


def run(args):
    """Read, train, test, save; print each as it is known."""
    _check_options(args)
    path = Path(_default_name(args) if args.save is None else args.save)
    if (args.save or "").endswith(os.sep):
        raise CommandError(f"--save: {args.save} names a folder, expected a file")
    _models.check_path(path, "--save", overwrite=args.overwrite, source=args.data)
    rows = _load(args)
    estimator_class = getattr(_models.estimators(), _models.CLASSES[args.model])
    recipe = _recipe(args, is_table=rows.columns is not None)
    data = _split(args, rows)
    folder = None
    if args.plots is not None:
        folder = _pictures.prepare(args.plots, overwrite=args.overwrite)
    about = _describe(args, rows, data, recipe)
    if not args.json:
        _print_data(about)
    estimator = _fit(args, recipe, estimator_class, data)
    estimator._notes = _sealed(data.notes, estimator).to_json()
    _models.save(estimator, path)
    X_test = _models.as_input(estimator, data.X_test)
    found = assess(estimator, X_test, data.y_test, data.notes.class_names)
    written = {"model": str(path)}
    if folder is not None:
        shape = _pictures.image_shape(data.X.reshape(-1, *data.shape))
        drawn = _pictures.draw(
            folder, estimator, X_test, data.y_test, shape, data.notes.class_names
        )
        written["plots"] = [str(picture) for picture in drawn]
    written["next"] = next_command(args, path)
    if args.json:
        report = {name: value for name, value in found.items() if name != "text"}
        print_json({"data": about, "history": estimator.history_, "test": report, **written})
        return
    print()
    print_assessment(found, "test ")
    print()
    print_fields(written)


# What to learn from


def _check_options(args):
    """Raise about options that exclude each other."""
    if args.hidden is not None and args.model != "mlp":
        raise CommandError("--hidden is for --model mlp")
    if args.solver == "lbfgs":
        for option in ("batch_size", "learning_rate"):
            if getattr(args, option) is not None:
                name = option.replace("_", "-")
                raise CommandError(f"--{name} is for --solver adam and sgd, got lbfgs")
    if args.data is None:
        if args.target is not None:
            raise CommandError("--target is for --data; a dataset has labels of its own")
        for option in ("features", "drop", "categorical", "missing"):
            if getattr(args, option) is not None:
                raise CommandError(f"--{option} is for --data")
        refuse_format(args)
        return
    for option in ("dataset", "data_dir"):
        if getattr(args, option) is not None:
            raise CommandError(f"--data and --{option.replace('_', '-')} exclude each other")
    if args.target is None:
        raise CommandError("--data needs --target NAME, the column or array of labels")
    if args.target in (args.drop or ()):
        raise CommandError(f"--drop: {args.target!r} is the column of labels")


def _default_name(args):
    name = args.dataset or "digits"
    if args.data is not None:
        name = "stdin" if args.data in STANDARD_INPUT else Path(args.data).stem
    return f"{name}-{args.model}.safetensors"


def _load(args):
    if args.data is None:
        return load_dataset(args.dataset or "digits", args.data_dir)
    features = None if args.features is None else list(dict.fromkeys(args.features))
    texts = frozenset(args.categorical or ())
    wanted = Wanted(args.target, features, args.drop or (), texts, guess=True)
    table = read_table(args.data, wanted, format_of(args))
    if table.columns is None and args.missing is not None:
        raise CommandError("--missing is for tables whose columns have names")
    return Rows(args.data, table.X, table.labels, table.columns)


def _recipe(args, *, is_table):
    solver = args.solver
    if solver is None:
        by_batches = args.batch_size is not None or args.learning_rate is not None
        exact = is_table and args.model == "softmax" and not by_batches
        solver = "lbfgs" if exact else "adam"
    epochs = EPOCHS["lbfgs" if solver == "lbfgs" else "table" if is_table else "other"]
    return Recipe(
        solver,
        args.epochs or epochs,
        is_table if args.standardize is None else args.standardize,
    )


def _split(args, rows):
    """Return the rows to train with and those that are held out, as features."""
    y = rows.labels.to_learn()
    check_classes(rows.name, y)
    if rows.test is not None:
        return _with_own_test_rows(args, rows, y)
    size = default_test_size(y) if args.test_size is None else args.test_size
    kept, held = hold_out(y, size, args.seed, "--test-size")
    rules = None
    X = rows.X
    if rows.columns is not None:
        rules = learn_rules(
            rows.name,
            rows.columns,
            kept,
            fill=args.missing == "fill",
            many_texts=args.categorical or (),
        )
        X = to_features(rows.name, rows.columns, rules)
    fingerprint = _notes.of_data(X, y)
    notes = Notes(
        args.target,
        rules,
        format_of(args),
        Held(fingerprint, "", _notes.of_rows(held), len(y), size, args.seed),
        rows.class_names,
    )
    train, validation = _validation(args, X[kept], y[kept])
    how = "split by class, at random"
    return Data(*train, validation, X[held], y[held], notes, how, X.shape[1:])


def _with_own_test_rows(args, rows, y):
    if args.test_size is not None:
        raise CommandError(f"--test-size: {rows.name} has test rows of its own")
    train, validation = _validation(args, rows.X, y)
    notes = Notes(class_names=rows.class_names)
    return Data(*train, validation, *rows.test, notes, "its own test rows", rows.X.shape[1:])


def _validation(args, X, y):
    """Return the rows to train with, and those that --validation takes from them."""
    if args.validation is None:
        return (X, y), None
    kept, held = hold_out(y, args.validation, args.seed, "--validation")
    return (X[kept], y[kept]), (X[held], y[held])


def _sealed(notes, estimator):
    """Return the notes with the fingerprint of the trained weights."""
    if notes.held is None:
        return notes
    return notes._replace(held=notes.held._replace(weights=_notes.of_weights(estimator)))


def _describe(args, rows, data, recipe):
    """Return what the model learns from, as a dict."""
    rules = data.notes.rules
    return {
        "name": rows.name,
        "n_train": len(data.X),
        "n_validation": 0 if data.validation is None else len(data.validation[1]),
        "n_test": len(data.X_test),
        "split": data.how,
        "shape": list(data.shape),
        "dtype": data.X.dtype.name,
        "features": data.features,
        "text_columns": [rule.name for rule in rules or () if rule.texts is not None],
        "standardized": recipe.standardize,
        "classes": np.unique(data.y).tolist(),
        "class_names": data.notes.class_names,
        "solver": recipe.solver,
        "seed": args.seed,
    }


def _print_data(about):
    names = about["class_names"] or about["classes"]
    shown = ", ".join(str(name) for name in names[:10]) + (", ..." if len(names) > 10 else "")
    validation = f"{about['n_validation']} to validate, " if about["n_validation"] else ""
    print_fields(
        {
            "data": about["name"],
            "rows": f"{about['n_train']} to train, {validation}{about['n_test']} to test "
            f"({about['split']})",
            "features": _features_in_words(about),
            "classes": f"{len(names)}: {shown}",
            "seed": about["seed"],
        }
    )
    print(flush=True)


def _features_in_words(about):
    words = [f"{' x '.join(str(size) for size in about['shape'])}, {about['dtype']}"]
    if about["text_columns"]:
        names = ", ".join(about["text_columns"][:10])
        more = ", ..." if len(about["text_columns"]) > 10 else ""
        words.append(f"one for each text of {names}{more}")
    if about["standardized"]:
        words.append("standardized")
    return ", ".join(words)


# Training


def _fit(args, recipe, estimator_class, data):
    """Return the trained estimator, standardisation folded in."""
    estimator = _estimator(args, recipe, estimator_class)
    X, validation, is_uint8 = data.X, data.validation, data.X.dtype == np.uint8
    if recipe.standardize:
        dtype = np.float32 if is_uint8 else np.float64
        X = X.reshape(len(X), -1).astype(dtype)
        mean, scale = _models.standardization(X)
        if data.notes.rules is not None:
            texts = ~which_are_numbers(data.notes.rules)
            mean[texts], scale[texts] = 0, 1
        X = _standardized(X, mean, scale)
        if validation is not None:
            rows, labels = validation
            rows = rows.reshape(len(rows), -1).astype(dtype)
            validation = _standardized(rows, mean, scale), labels
    elif is_uint8 and X.ndim == 2 and X.max(initial=0) > MOST_OF_A_TABLE:
        X = X[..., np.newaxis]  # images that somebody has flattened: the estimators scale images
        if validation is not None:
            validation = validation[0][..., np.newaxis], validation[1]
    if data.features is not None:
        X = _models.named(X, data.features)
        if validation is not None:
            validation = _models.named(validation[0], data.features), validation[1]
    _fit_or_stop(estimator, X, data.y, validation)
    if recipe.standardize:
        with np.errstate(all="ignore"):
            _models.fold(estimator, mean, scale, is_uint8=is_uint8)
    _check_result(args, estimator)
    return estimator


def _standardized(X, mean, scale):
    X -= mean.astype(X.dtype)
    X /= scale.astype(X.dtype)
    return X


def _estimator(args, recipe, estimator_class):
    options = {} if args.model == "softmax" else {"hidden_layer_sizes": args.hidden or (128,)}
    if recipe.solver != "lbfgs":
        options["batch_size"] = args.batch_size or BATCH_SIZE
        options["learning_rate_init"] = args.learning_rate or LEARNING_RATE
    return estimator_class(
        **options,
        solver=recipe.solver,
        max_iter=recipe.epochs,
        random_state=args.seed,
        verbose=0 if args.json or recipe.solver == "lbfgs" else 1,
    )


def _fit_or_stop(estimator, X, y, validation):
    """Fit; what `fit` warns about and goes on from ends the command: Ctrl-C and divergence."""
    try:
        from sklearn.exceptions import ConvergenceWarning
    except ImportError as error:
        raise missing_extra(error, "The trainer") from error
    X_val, y_val = validation or (None, None)
    max_iter = estimator.max_iter
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", RuntimeWarning)  # told by what they lead to
        warnings.filterwarnings("error", "training was interrupted", UserWarning)
        warnings.filterwarnings("error", "(?s).*(NaN|infinite)", ConvergenceWarning)
        # As many epochs as were asked for.
        warnings.filterwarnings("ignore", "training has reached max_iter", UserWarning)
        try:
            estimator.fit(X, y, X_val=X_val, y_val=y_val)
        except ConvergenceWarning as warning:
            raise _diverged(estimator) from warning
        except UserWarning:
            raise KeyboardInterrupt from None
        except (ValueError, TypeError) as error:
            raise CommandError(str(error)) from error
    for warning in caught:
        message = str(warning.message)
        if issubclass(warning.category, ConvergenceWarning) and estimator.n_iter_ >= max_iter:
            what = "iterations" if estimator.solver == "lbfgs" else "epochs"
            message = (
                f"training has not converged in {max_iter} {what}: raise --epochs, or accept the "
                "model as it is"
            )
        warnings.warn(message, UserWarning, stacklevel=2)


def _diverged(estimator):
    advice = "features of a smaller range (--standardize) may help"
    if estimator.solver != "lbfgs":
        advice = f"try a --learning-rate below {estimator.learning_rate_init:g}"
    return CommandError(f"the loss became NaN or infinite, so no model was saved: {advice}")


def _check_result(args, estimator):
    """Raise about a model that is of no use; warn about one that is likely to be of none."""
    losses = estimator.history_.get("loss", [])
    if not (estimator._network.is_finite() and np.isfinite(losses).all()):
        raise _diverged(estimator)
    if not losses:
        return
    if estimator.solver == "lbfgs" and not args.json:
        print(
            f"lbfgs: {estimator.n_iter_} iterations - loss: {losses[-1]:.4f} - accuracy: "
            f"{estimator.history_['accuracy'][-1]:.4f}",
            flush=True,
        )
    guess = math.log(len(estimator.classes_))
    if losses[-1] > WORSE_THAN_GUESSING * guess:
        hint = "" if estimator.solver == "lbfgs" else ": a smaller --learning-rate may help"
        warnings.warn(
            f"the loss on the training rows ends at {losses[-1]:.4g}, guessing has {guess:.4g}"
            f"{hint}",
            UserWarning,
            stacklevel=2,
        )


def next_command(args, path):
    """Return the command that uses the model."""
    if args.data is None:
        words = ["evaluate", path, "--dataset", args.dataset or "digits"]
        words += ["--data-dir", args.data_dir] if args.data_dir is not None else []
    elif args.data in STANDARD_INPUT:
        words = ["predict", path, "FILE"]
    else:
        words = ["predict", path, args.data]
    return shlex.join(["fastsoftmax", *(str(word) for word in words)])
