"""Score a model on a table with labels, or on a dataset's test rows.

On the data that `train` has trained it on, the rows that `train` held out are scored; on other data
all rows, and so after `train --dask`, with a warning.
"""

import warnings
from typing import NamedTuple

import numpy as np

from . import _models
from ._errors import CommandError
from ._notes import of_data, of_rows, of_weights, read_notes
from ._printing import print_fields, print_json
from ._report import assess, print_assessment
from ._rows import add_dataset_arguments, add_format_arguments, add_model_arguments, load_for_model
from ._splitting import hold_out

MOST_ROWS = 10  # whose numbers are printed


class Scored(NamedTuple):
    """The rows to score."""

    rows: np.ndarray | None  # None: all
    n_trained: int | None  # rows of these data that the model was trained on; None: not known


def add_arguments(parser):
    """Declare the options of `fastsoftmax evaluate`."""
    add_model_arguments(parser)
    parser.add_argument(
        "--target",
        metavar="NAME",
        help="the column or array of labels (default: that of the training)",
    )
    parser.add_argument(
        "--all-rows",
        action="store_true",
        help="score every row, those it was trained on too (default: the rows that training held out, "
        "where FILE is what it was trained on; all after train --dask)",
    )
    add_dataset_arguments(parser)
    add_format_arguments(parser)


def run(args):
    """Print loss, accuracy, confusion matrix and report."""
    estimator = _models.load(args.model)
    notes = read_notes(args.model, estimator)
    if args.file is not None and args.target is None:
        args.target = notes.target
        if args.target is None:
            raise CommandError("FILE needs --target NAME, the column or array of labels")
    rows = load_for_model(args, estimator, notes)
    X = _models.as_input(estimator, rows.X)
    y = rows.labels.to_match(estimator.classes_)
    scored = _choose(args, estimator, notes, rows, y)
    if scored.rows is not None:
        X, y = (X.iloc if hasattr(X, "iloc") else X)[scored.rows], y[scored.rows]
    names = rows.class_names or notes.class_names
    try:
        found = assess(estimator, X, y, names)
    except (ValueError, TypeError) as error:
        raise CommandError(f"{rows.name}: {error}") from error
    is_test = scored.rows is not None or rows.test is not None
    if args.json:
        report = {name: value for name, value in found.items() if name != "text"}
        print_json(
            {
                "model": args.model,
                "data": rows.name,
                "rows": "test" if is_test else "all",
                "row_numbers": None if scored.rows is None else scored.rows + 1,
                "n_trained": scored.n_trained,
                "scores": report,
            }
        )
        return
    print_fields(
        {"model": args.model, "data": rows.name, "rows": _in_words(scored, len(rows.labels))}
    )
    print()
    print_assessment(found, "test " if is_test else "")


def _choose(args, estimator, notes, rows, y):
    """Return which rows to score: those held out, if these are the data of the training."""
    held = notes.held
    if notes.on_dask and rows.test is None and not args.all_rows:
        warnings.warn(
            f"{args.model} was trained with --dask, which does not keep what rows it held out: all rows of "
            f"{rows.name} are scored, also those that it may have learned from",
            UserWarning,
            stacklevel=2,
        )
    is_own = (
        held is not None
        and rows.test is None
        and held.n_rows == len(y)
        and held.data == of_data(rows.X, y)
    )
    if not is_own:
        return Scored(None, None)
    kept, found = hold_out(y, held.test_size, held.seed, "the held-out rows:")
    doubt = None
    if of_weights(estimator) != held.weights:
        doubt = "its weights have changed since, so they may know the rows that were held out"
    elif of_rows(found) != held.rows:
        doubt = "this scikit-learn splits in another way, so the held-out rows are not known"
    if doubt is not None:
        warnings.warn(f"{args.model} was trained on these data; {doubt}", UserWarning, stacklevel=2)
        return Scored(None, None)
    return Scored(None, len(kept)) if args.all_rows else Scored(found, 0)


def _in_words(scored, n_rows):
    if scored.n_trained:
        return f"{n_rows}, {scored.n_trained} of which the model was trained on"
    if scored.rows is None:
        return f"{n_rows}"
    numbers = ", ".join(str(row + 1) for row in scored.rows[:MOST_ROWS])
    more = ", ..." if len(scored.rows) > MOST_ROWS else ""
    return f"{len(scored.rows)} of {n_rows}, which training held out: {numbers}{more}"
