"""Test a model on a table with labels, or on a dataset's test rows."""

from . import _models
from ._errors import CommandError
from ._printing import print_fields, print_json
from ._report import assess, check_labels, print_assessment
from ._rows import add_dataset_arguments, load_for_model


def add_arguments(parser):
    """Declare the options of `fastsoftmax evaluate`."""
    parser.add_argument("model", metavar="MODEL", help="a file that `fastsoftmax train` saved")
    parser.add_argument("file", metavar="FILE", nargs="?", help="a CSV or .npz file")
    parser.add_argument("--target", metavar="NAME", help="its column or array of labels")
    add_dataset_arguments(parser)


def run(args):
    """Print loss, accuracy, confusion matrix and report."""
    if args.file is not None and args.target is None:
        raise CommandError("FILE needs --target NAME, the column or array of labels")
    estimator = _models.load(args.model)
    rows = load_for_model(args, estimator)
    X = _models.as_input(estimator, rows.X)
    check_labels(estimator, rows)
    try:
        found = assess(estimator, X, rows.y)
    except (ValueError, TypeError) as error:
        raise CommandError(f"{rows.name}: {error}") from error
    if args.json:
        report = {name: value for name, value in found.items() if name != "text"}
        print_json({"model": args.model, "data": rows.name, "test": report})
        return
    print_fields({"model": args.model, "data": rows.name, "rows": found["n_rows"]})
    print()
    print_assessment(found)
