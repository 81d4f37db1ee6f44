"""Predict the class of each row of a table: CSV on stdout.

The columns are prediction and probability; with --proba, probability_<class> for every class
follows. A CSV file's columns are matched by name: their order, and others beside them, do not
matter.
"""

import csv
import sys

from . import _models
from ._errors import CommandError
from ._printing import print_json
from ._rows import add_dataset_arguments, load_for_model


def add_arguments(parser):
    """Declare the options of `fastsoftmax predict`."""
    parser.add_argument("model", metavar="MODEL", help="a file that `fastsoftmax train` saved")
    parser.add_argument("file", metavar="FILE", nargs="?", help="a CSV or .npz file")
    parser.add_argument("--proba", action="store_true", help="the probabilities of all classes")
    add_dataset_arguments(parser)


def run(args):
    """Print a line for each row."""
    estimator = _models.load(args.model)
    rows = load_for_model(args, estimator)
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
    writer = csv.writer(sys.stdout, lineterminator="\n")
    heads = [f"probability_{name}" for name in classes] if args.proba else []
    writer.writerow(["prediction", "probability", *heads])
    for row, label in zip(probs, best, strict=True):
        every = map(str, row) if args.proba else ()
        writer.writerow([classes[label], str(row[label]), *every])
