"""How `fastsoftmax train` fits: the solver, standardisation, and what is said of the result."""

import math
import warnings
from typing import NamedTuple

import numpy as np

from . import _models
from ._columns import which_are_numbers
from ._errors import CommandError, missing_extra

SOLVERS = ("auto", "lbfgs", "newton-cholesky", "adam", "sgd")
EXACT = ("auto", "lbfgs", "newton-cholesky")
"""Solvers that see all rows at once and end at the minimum."""

EPOCHS = {"exact": 1000, "table": 200, "other": 20}
BATCH_SIZE = 32
LEARNING_RATE = 1e-3
WORSE_THAN_GUESSING = 2  # times the loss of equal probabilities

MOST_OF_A_TABLE = 100
"""Bytes above this in rows without shape are pixels."""


class Recipe(NamedTuple):
    """How to train."""

    solver: str
    epochs: int
    standardize: bool
    is_customary: bool
    """Whether the epochs are those of every introduction to images, which nobody expects to be the last word."""


def choose_recipe(args, *, is_table):
    solver = args.solver
    if solver is None:
        exact = is_table and args.model == "softmax" and not batch_options(args)
        solver = "auto" if exact else "adam"
    epochs = EPOCHS["exact" if solver in EXACT else "table" if is_table else "other"]
    return Recipe(
        solver,
        args.epochs or epochs,
        is_table if args.standardize is None else args.standardize,
        is_customary=not args.epochs and epochs == EPOCHS["other"],
    )


def batch_options(args):
    """Return the names of the options that the user has passed for adam and sgd alone."""
    passed = {
        "batch-size": args.batch_size is not None,
        "learning-rate": args.learning_rate is not None,
        "early-stopping": args.early_stopping,
    }
    return [name for name, is_passed in passed.items() if is_passed]


def fit(args, recipe, estimator_class, data):
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
    asked = None if recipe.is_customary else args.epochs is not None
    fit_or_stop(estimator, X, data.y, validation, asked=asked)
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
    if recipe.solver not in EXACT:
        options["batch_size"] = args.batch_size or BATCH_SIZE
        options["learning_rate_init"] = args.learning_rate or LEARNING_RATE
        options["early_stopping"] = args.early_stopping
    return estimator_class(
        **options,
        class_weight=args.class_weight,
        solver=recipe.solver,
        max_iter=recipe.epochs,
        random_state=args.seed,
        verbose=0 if args.json or recipe.solver in EXACT else 1,
    )


def fit_or_stop(estimator, X, y, validation, *, asked):
    """Fit; what `fit` warns about and goes on from ends the command: Ctrl-C and divergence.

    `asked` tells whether the number of epochs is the user's; None: nothing is said where they run out.
    """
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
            if asked is None:
                continue
            message = _not_converged(estimator, asked=asked)
        warnings.warn(message, UserWarning, stacklevel=2)


def _not_converged(estimator, *, asked):
    """Return what is said where the iterations or epochs have run out."""
    n, by_epochs = estimator.max_iter, estimator.solver not in EXACT
    if by_epochs and asked:
        what = (
            "accuracy in validation still rose" if estimator.early_stopping else "loss still fell"
        )
        epochs = "1 epoch" if n == 1 else f"{n} epochs"
        return f"the {what} after {epochs}, as many as were asked for"
    return (
        f"training has not converged in {n} {'epochs' if by_epochs else 'iterations'}: raise "
        "--epochs, or accept the model as it is"
    )


def told(estimator):
    """Return how training ended, for --json."""
    return {"converged": bool(estimator.converged_), "n_iter": int(np.max(estimator.n_iter_))}


def _diverged(estimator):
    advice = "features of a smaller range (--standardize) may help"
    if estimator.solver not in EXACT:
        advice = f"try a --learning-rate below {estimator.learning_rate_init:g}"
    return CommandError(f"the loss became NaN or infinite, so no model was saved: {advice}")


def _check_result(args, estimator):
    """Raise about a model that is of no use; warn about one that is likely to be of none."""
    losses = estimator.history_.get("loss", [])
    if not (estimator._network.is_finite() and np.isfinite(losses).all()):
        raise _diverged(estimator)
    if not losses:
        return
    if estimator.solver in EXACT and not args.json:
        print(
            f"{estimator.solver}: {len(losses)} iterations - loss: {losses[-1]:.4f} - accuracy: "
            f"{estimator.history_['accuracy'][-1]:.4f}",
            flush=True,
        )
    guess = math.log(len(estimator.classes_))
    if losses[-1] > WORSE_THAN_GUESSING * guess:
        hint = "" if estimator.solver in EXACT else ": a smaller --learning-rate may help"
        warnings.warn(
            f"the loss on the training rows ends at {losses[-1]:.4g}, guessing has {guess:.4g}"
            f"{hint}",
            UserWarning,
            stacklevel=2,
        )
