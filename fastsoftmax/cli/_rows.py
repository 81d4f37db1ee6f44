"""Where the rows of a command come from: a file, or a dataset by name."""

from typing import NamedTuple

import numpy as np

from ._errors import CommandError, missing_extra
from ._models import feature_names, has_text_labels
from ._reading import read_table

DATASETS = ("digits", "fashion-mnist", "mnist")


class Rows(NamedTuple):
    """Rows with labels, and what is told about them."""

    name: str
    X: np.ndarray
    y: np.ndarray | None
    features: list[str] | None
    test: tuple[np.ndarray, np.ndarray] | None  # the dataset's own test rows


def add_dataset_arguments(parser):
    """Declare --dataset and --data-dir."""
    parser.add_argument("--dataset", choices=DATASETS, help="a dataset by name")
    parser.add_argument(
        "--data-dir", metavar="DIR", help="the folder that holds the dataset's IDX files"
    )


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
    return Rows(name, X, y, None, test)


def _digits():
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise missing_extra(error, "The digits data") from error
    X, y = load_digits(return_X_y=True)
    return Rows("digits", X.astype(np.float32), y, None, None)


def load_for_model(args, estimator):
    """
    Return the rows that `evaluate` and `predict` work on.

    Parameters
    ----------
    args : namespace
        Holds file or dataset, data_dir, and perhaps target.
    estimator : SoftmaxRegression or MLPClassifier
        Tells the columns to look for and the kind of its labels.
    """
    if (args.file is None) == (args.dataset is None):
        raise CommandError("expected either FILE or --dataset NAME")
    target = getattr(args, "target", None)
    if args.dataset is not None:
        if target is not None:
            raise CommandError("--target is for FILE; a dataset has labels of its own")
        rows = load_dataset(args.dataset, args.data_dir)
        if rows.test is None:
            return rows
        X, y = rows.test
        return rows._replace(name=f"{rows.name} (test rows)", X=X, y=y)
    if args.data_dir is not None:
        raise CommandError("--data-dir needs --dataset")
    table = read_table(
        args.file,
        target,
        features=feature_names(estimator),
        labels_as_text=has_text_labels(estimator),
    )
    return Rows(table.path, table.X, table.y, table.features, None)
