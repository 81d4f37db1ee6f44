"""Where the rows of a command come from: a file, or a dataset by name."""

import argparse
from typing import NamedTuple

import numpy as np

from ._columns import Column, Rule, to_features
from ._csv import Format, Wanted, check_encoding, check_thousands
from ._errors import CommandError, missing_extra
from ._labels import RawLabels
from ._models import feature_names
from ._reading import read_table

DATASETS = ("digits", "fashion-mnist", "mnist")
CLOTHES = [
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
    "ankle boot",
]  # fmt: skip


class Rows(NamedTuple):
    """Rows, and what is told about them: features, or the columns that become features."""

    name: str
    X: np.ndarray | None
    labels: RawLabels | None
    columns: list[Column] | None = None
    test: tuple[np.ndarray, np.ndarray] | None = None  # the dataset's own test rows
    class_names: list[str] | None = None


def add_model_arguments(parser):
    """Declare MODEL and FILE, of commands that use a model."""
    parser.add_argument("model", metavar="MODEL", help="a file that `fastsoftmax train` saved")
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="CSV, Parquet, Arrow, .npz or .npy file; - is standard input (this or --dataset)",
    )


def add_dataset_arguments(parser, default="none"):
    """Declare --dataset and --data-dir; `default` says in the help what holds without --dataset."""
    parser.add_argument(
        "--dataset",
        choices=DATASETS,
        help="a dataset by name: digits comes with scikit-learn, the others are IDX files "
        f"(default: {default})",
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="the folder of the dataset's IDX files (default: FASTSOFTMAX_DATA, else the cache folder, "
        "to which they are downloaded)",
    )


def add_format_arguments(parser, sep="as in the training"):
    """Declare how a CSV file is written; `sep` says in the help what separates without --sep."""
    learnt = " or as in the training" if sep == "as in the training" else ""
    parser.add_argument(
        "--sep",
        type=_separator,
        metavar="CHARACTER",
        help=f"what separates the fields of a CSV file; tab stands for a tab (default: {sep})",
    )
    parser.add_argument(
        "--encoding",
        type=_encoding,
        metavar="NAME",
        help="the encoding of a CSV file, such as latin-1 (default: what a byte order mark says, "
        f"else utf-8{learnt})",
    )
    parser.add_argument(
        "--decimal",
        type=_decimal,
        metavar="CHARACTER",
        help=f"the decimal point of a CSV file, . or , (default: .{learnt})",
    )
    parser.add_argument(
        "--thousands",
        type=_thousands,
        metavar="CHARACTER",
        help="what parts groups of three digits in the numbers of a CSV file, such as , in 44,364.85 "
        f"(default: nothing{learnt})",
    )
    parser.add_argument(
        "--na-values",
        type=_words,
        metavar="TEXT[,TEXT...]",
        help="what stands for a missing value in a table, beside an empty field (default: what pandas "
        f"reads as one in columns of numbers{learnt})",
    )


def _separator(text):
    mark = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(mark) != 1 or mark in '"\r\n\0' or not mark.isascii() or mark.isalnum():
        raise argparse.ArgumentTypeError(f"expected one character or tab, got {text!r}")
    return mark


def _decimal(text):
    if text not in (".", ","):
        raise argparse.ArgumentTypeError(f"expected . or , got {text!r}")
    return text


def _thousands(text):
    try:
        return check_thousands(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _encoding(text):
    try:
        return check_encoding(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _words(text):
    return tuple(text.split(","))


def format_of(args):
    """Return the Format that the user has said."""
    if args.sep is not None and args.sep == (args.decimal or "."):
        raise CommandError(f"--sep and --decimal are both {args.sep!r}")
    return Format(*(getattr(args, option) for option in Format._fields))


def refuse_format(args):
    """Raise about an option that says how a file is written, where there is none."""
    for option in Format._fields:
        if getattr(args, option) is not None:
            raise CommandError(f"--{option.replace('_', '-')} is for files")


def load_dataset(name, data_dir=None):
    """Return a dataset by name: digits comes with scikit-learn, the others as IDX files."""
    if name == "digits":
        if data_dir is not None:
            raise CommandError("--data-dir is for fashion-mnist and mnist; digits has no files")
        return _digits()
    from .. import datasets

    load = datasets.load_mnist if name == "mnist" else datasets.load_fashion_mnist
    try:
        (X, y), test = load(data_dir)
    except ImportError as error:
        raise CommandError(str(error)) from error
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from error
    names = CLOTHES if name == "fashion-mnist" else None
    return Rows(name, X, RawLabels(name, "labels", y), None, test, names)


def _digits():
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise missing_extra(error, "The digits data") from error
    X, y = load_digits(return_X_y=True)
    return Rows("digits", X.astype(np.float32), RawLabels("digits", "labels", y))


def load_for_model(args, estimator, notes):
    """
    Return the rows that `evaluate` and `predict` work on, their features ready.

    Parameters
    ----------
    args : namespace
        Holds file or dataset, data_dir, the format, and perhaps target.
    estimator : SoftmaxRegression or MLPClassifier
    notes : Notes
        What the model says about its table.
    """
    if (args.file is None) == (args.dataset is None):
        raise CommandError("expected either FILE or --dataset NAME")
    target = getattr(args, "target", None)
    if args.dataset is not None:
        if target is not None:
            raise CommandError("--target is for FILE; a dataset has labels of its own")
        refuse_format(args)
        rows = load_dataset(args.dataset, args.data_dir)
        if rows.test is None:
            return rows
        X, y = rows.test
        labels = RawLabels(rows.name, "labels", y)
        return rows._replace(name=f"{rows.name} (test rows)", X=X, labels=labels)
    if args.data_dir is not None:
        raise CommandError("--data-dir needs --dataset")
    return _load_file(args, target, estimator, notes)


def _load_file(args, target, estimator, notes):
    rules = notes.rules
    if rules is None:
        wanted = Wanted(target, feature_names(estimator))
    else:
        texts = frozenset(rule.name for rule in rules if rule.texts is not None)
        wanted = Wanted(target, [rule.name for rule in rules], texts=texts)
    table = read_table(args.file, wanted, format_of(args), notes.form)
    if table.columns is None:
        return Rows(table.path, table.X, table.labels)
    remedy = "fill them in, or train the model with --missing fill"
    if not rules:
        rules = [Rule(column.name, None, None) for column in table.columns]
        remedy = "fill them in"
    X = to_features(table.path, table.columns, rules, remedy=remedy)
    return Rows(table.path, X, table.labels, table.columns)
