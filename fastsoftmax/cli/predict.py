"""Predict the class of each row of a table: CSV on stdout.

The columns are prediction and probability; with --proba, probability_<class> for every class
follows. A table's columns are matched by name: their order, and others beside them, do not matter.
"""

import sys

from . import _models
from ._csv import csv_line
from ._errors import CommandError
from ._notes import read_notes
from ._printing import print_json, printable
from ._rows import add_dataset_arguments, add_format_arguments, add_model_arguments, load_for_model


def add_arguments(parser):
    """Declare the options of `fastsoftmax predict`."""
    add_model_arguments(parser)
    parser.add_argument(
        "--proba",
        action="store_true",
        help="print the probabilities of all classes too (default: of the predicted class alone)",
    )
    add_dataset_arguments(parser)
    add_format_arguments(parser)


def run(args):
    """Print a line for each row."""
    estimator = _models.load(args.model)
    rows = load_for_model(args, estimator, read_notes(args.model, estimator))
    X = _models.as_input(estimator, rows.X)
    try:
        probs = estimator.predict_proba(X)
    except (ValueError, TypeError) as error:
        raise CommandError(f"{rows.name}: {error}") from error
    classes = estimator.classes_
    best = probs.argmax(axis=1)
    if args.json:
        report = {
            "model": args.model,
            "data": rows.name,
            "classes": classes,
            "prediction": classes[best],
            "probability": probs.max(axis=1),
        }
        print_json({**report, "probabilities": probs} if args.proba else report)
        return
    _print_csv(classes, best, probs, args.proba)


def _print_csv(classes, best, probs, every):
    """Print labels as they are, to be read back; a terminal is spared what it would obey."""
    shown = printable if sys.stdout.isatty() else str
    labels = [shown(label) for label in classes]
    heads = [f"probability_{label}" for label in labels] if every else []
    print(csv_line(["prediction", "probability", *heads]))
    fields = [csv_line([label]) for label in labels]
    for row, number in zip(probs, best, strict=True):
        print(",".join([fields[number], str(row[number]), *map(str, row if every else ())]))
