"""Train a classifier on a table or a dataset, test it and save it.

Without options it learns the handwritten digits that scikit-learn carries, with no download.
"""

import os
import shlex
from pathlib import Path

from . import _models, _on_dask, _pictures
from ._contents import STANDARD_INPUT
from ._errors import CommandError
from ._fitting import choose_recipe, fit, told
from ._printing import print_fields, print_json, program
from ._report import assess, print_assessment
from ._training_data import describe, load, print_data, sealed, split
from ._training_options import add_arguments, check_options, default_name

__all__ = ["add_arguments", "run"]


def run(args):
    """Read, train, test, save; print each as it is known."""
    check_options(args)
    path = Path(default_name(args) if args.save is None else args.save)
    if (args.save or "").endswith(os.sep):
        raise CommandError(f"--save: {args.save} names a folder, expected a file")
    option = "the default of --save" if args.save is None else "--save"
    _models.check_path(path, option, overwrite=args.overwrite, source=args.data)
    if args.dask:
        _on_dask.run(args, path)
        return
    rows = load(args)
    estimator_class = getattr(_models.estimators(), _models.CLASSES[args.model])
    recipe = choose_recipe(args, is_table=rows.columns is not None)
    data = split(args, rows)
    folder = None
    if args.plots is not None:
        folder = _pictures.prepare(args.plots, overwrite=args.overwrite)
    about = describe(args, rows, data, recipe)
    if not args.json:
        print_data(about)
    estimator = fit(args, recipe, estimator_class, data)
    estimator._notes = sealed(data.notes, estimator).to_json()
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
        ended = {"history": estimator.history_, **told(estimator)}
        print_json({"data": about, **ended, "test": report, **written})
        return
    print()
    print_assessment(found, "test ")
    print()
    print_fields(written)


def next_command(args, path):
    """Return the command that uses the model."""
    if args.data is None:
        words = ["evaluate", path, "--dataset", args.dataset or "digits"]
        words += ["--data-dir", args.data_dir] if args.data_dir is not None else []
    elif args.data in STANDARD_INPUT:
        words = ["predict", path, "FILE"]
    else:
        words = ["predict", path, args.data]
    return shlex.join([*program(), *(str(word) for word in words)])
