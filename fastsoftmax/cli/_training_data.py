"""The rows that `fastsoftmax train` learns from, validates and tests with, and what is told of them."""

from typing import NamedTuple

import numpy as np

from . import _notes
from ._columns import learn_rules, to_features
from ._csv import Wanted
from ._errors import CommandError
from ._notes import Held, Notes
from ._printing import print_fields
from ._reading import read_table
from ._rows import Rows, format_of, load_dataset
from ._splitting import check_classes, default_test_size, hold_out

MOST_NAMES = 10  # of classes or columns that are printed


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


def load(args):
    if args.data is None:
        return load_dataset(args.dataset or "digits", args.data_dir)
    features = None if args.features is None else list(dict.fromkeys(args.features))
    texts = frozenset(args.categorical or ())
    wanted = Wanted(args.target, features, args.drop or (), texts, guess=True)
    table = read_table(args.data, wanted, format_of(args))
    if table.columns is None and args.missing is not None:
        raise CommandError("--missing is for tables whose columns have names")
    return Rows(args.data, table.X, table.labels, table.columns)


def split(args, rows):
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
        X = to_features(
            rows.name,
            rows.columns,
            rules,
            remedy="pass --missing fill, or leave the column out with --drop",
        )
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


def sealed(notes, estimator):
    """Return the notes with the fingerprint of the trained weights."""
    if notes.held is None:
        return notes
    return notes._replace(held=notes.held._replace(weights=_notes.of_weights(estimator)))


def describe(args, rows, data, recipe):
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
        "class_weight": args.class_weight,
        "early_stopping": args.early_stopping,
        "solver": recipe.solver,
        "seed": args.seed,
    }


def print_data(about):
    names = about["class_names"] or about["classes"]
    shown = ", ".join(str(name) for name in names[:10]) + (", ..." if len(names) > 10 else "")
    validation = f"{about['n_validation']} to validate, " if about["n_validation"] else ""
    print_fields(
        {
            "data": about["name"],
            "rows": f"{about['n_train']} to train, {validation}{about['n_test']} to test "
            f"({about['split']})",
            "features": _features_in_words(about),
            "classes": f"{len(names)}: {shown}"
            + (", of equal weight" if about["class_weight"] == "balanced" else ""),
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
