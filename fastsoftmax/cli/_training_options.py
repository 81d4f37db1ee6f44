"""The options of `fastsoftmax train`: what each means, its default, and which exclude each other."""

import argparse
from pathlib import Path

from . import _models, _on_dask
from ._contents import STANDARD_INPUT
from ._errors import CommandError
from ._fitting import BATCH_SIZE, EPOCHS, EXACT, LEARNING_RATE, SOLVERS, batch_options
from ._option_types import names, positive_float, positive_int, seed, size, sizes
from ._rows import add_dataset_arguments, add_format_arguments, refuse_format


def add_arguments(parser):
    """Declare the options of `fastsoftmax train`."""
    _add_data(parser.add_argument_group("data"))
    _add_split(parser.add_argument_group("rows and columns"))
    _add_model(parser.add_argument_group("model and training"))
    _on_dask.add_arguments(parser.add_argument_group("more rows than memory holds"))
    output = parser.add_argument_group("output")
    output.add_argument(
        "--save",
        metavar="PATH",
        help="the model file (default: <data>-<model>.safetensors in this folder)",
    )
    output.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a model file or pictures that are there (default: refuse)",
    )
    output.add_argument(
        "--plots",
        metavar="DIR",
        help="draw pictures into this folder: history, confusion matrix and reliability; decision "
        "regions of two features; with --model softmax the coefficients of a table, or the weights "
        "of each class on images (default: none)",
    )


def _add_data(group):
    group.add_argument(
        "--data",
        metavar="FILE",
        help="CSV, Parquet, Arrow, .npz or .npy file, which may be compressed; - is standard input "
        "(default: none, a dataset)",
    )
    group.add_argument(
        "--target",
        metavar="NAME",
        help="the column or array of labels (required with --data)",
    )
    add_dataset_arguments(group, default="digits, where there is no --data")
    add_format_arguments(group, sep="the only one of , ; | and tab in the header")


def _add_split(group):
    group.add_argument(
        "--features",
        type=names,
        metavar="NAME[,NAME...]",
        help="the columns to learn from, in this order; a name that has a comma stands in "
        "double quotes (default: all but --target and --drop)",
    )
    group.add_argument(
        "--drop",
        type=names,
        metavar="NAME[,NAME...]",
        help="columns to leave out, written as for --features (default: none)",
    )
    group.add_argument(
        "--categorical",
        type=names,
        metavar="NAME[,NAME...]",
        help="columns of numbers, or of more than 100 different texts, whose values are categories: "
        "a feature for each (default: columns of texts)",
    )
    group.add_argument(
        "--missing",
        choices=("refuse", "fill"),
        help="what to do about missing values: refuse the table, or fill them with the median or the "
        "most frequent text of the training rows (default: refuse)",
    )
    group.add_argument(
        "--standardize",
        action=argparse.BooleanOptionalAction,
        help="shift and scale numbers to mean 0 and standard deviation 1; it becomes part of the "
        "weights (default: yes for tables, no for arrays and datasets)",
    )
    group.add_argument(
        "--test-size",
        type=size,
        metavar="SIZE",
        help="a share below 1 or the number of rows to keep for the test (default: 0.2, and at least "
        "one of each class)",
    )
    group.add_argument(
        "--validation",
        type=size,
        metavar="SIZE",
        help="a share below 1 or the number of the other rows to follow the training with; their loss "
        "and accuracy stand in the history (default: none)",
    )
    group.add_argument(
        "--seed",
        type=seed,
        metavar="N",
        default=0,
        help="what decides the split, the initial weights and the order of rows (default: 0)",
    )


def _add_model(group):
    group.add_argument(
        "--model",
        choices=tuple(_models.CLASSES),
        default="softmax",
        help="softmax: a linear model, softmax regression; mlp: a network with hidden layers "
        "(default: softmax)",
    )
    group.add_argument(
        "--hidden",
        type=sizes,
        metavar="N[,N...]",
        help="units of each hidden layer of --model mlp (default: 128)",
    )
    group.add_argument(
        "--solver",
        choices=SOLVERS,
        help="lbfgs and, for --model softmax, newton-cholesky go to the exact minimum, and auto takes the "
        "better of them; adam and sgd take batches (default: auto for --model softmax on tables "
        "without --batch-size, --learning-rate and --early-stopping; else adam)",
    )
    group.add_argument(
        "--epochs",
        type=positive_int,
        metavar="N",
        help=f"passes over the rows, at most (default: {EPOCHS['other']}, on tables {EPOCHS['table']}); "
        f"iterations of auto, lbfgs and newton-cholesky (default: {EPOCHS['exact']})",
    )
    group.add_argument(
        "--batch-size",
        type=positive_int,
        metavar="N",
        help=f"rows of a step of adam and sgd (default: {BATCH_SIZE})",
    )
    group.add_argument(
        "--learning-rate",
        type=positive_float,
        metavar="RATE",
        help=f"size of a step of adam and sgd (default: {LEARNING_RATE:g})",
    )
    group.add_argument(
        "--early-stopping",
        action="store_true",
        help="end adam and sgd when the accuracy on the rows of --validation, else on a tenth of the "
        "training rows, has stood still for 10 epochs, and keep the best epoch (default: no)",
    )
    group.add_argument(
        "--class-weight",
        choices=("balanced",),
        help="balanced: each class counts as much as another in training, however few its rows "
        "(default: each row counts the same)",
    )


def check_options(args):
    """Raise about options that exclude each other."""
    _on_dask.check_options(args)
    if args.hidden is not None and args.model != "mlp":
        raise CommandError("--hidden is for --model mlp")
    if args.solver in ("auto", "newton-cholesky") and args.model != "softmax":
        raise CommandError(f"--solver {args.solver} is for --model softmax")
    if args.solver in EXACT:
        for option in batch_options(args):
            raise CommandError(f"--{option} is for --solver adam and sgd, got {args.solver}")
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


def default_name(args):
    """Return the name of the model file where --save says none."""
    if args.dask:
        return _on_dask.default_name(args)
    name = args.dataset or "digits"
    if args.data is not None:
        name = "stdin" if args.data in STANDARD_INPUT else Path(args.data).stem
    return f"{name}-{args.model}.safetensors"
