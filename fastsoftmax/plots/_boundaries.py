"""Where one class gives way to another: exact lines of linear models, contours of the others.

Two classes i and j of a linear model are equally probable on the line (w_i - w_j) x + b_i - b_j = 0.
It separates them only where no third class is more probable than both.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from ._arguments import as_array

_PROBES = 20  # points on each axis


class Boundary(NamedTuple):
    """The line on which two classes are equally probable, as (2, 2) arrays of two points."""

    pair: tuple[int, int]
    segment: np.ndarray | None  # the part that separates the two; None if no part in the box does
    whole: np.ndarray | None  # all of the line in the box


def linear_parameters(model, box):
    """Return weights (n_classes, 2) and biases (n_classes,) of the scores; None if not linear."""
    weights = getattr(model, "coef_", 0.0)
    weights = as_array(weights, "coef_")
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 2 or weights.shape[1] != 2:
        return None
    weights = weights * getattr(model, "input_scale_", 1.0)
    biases = np.broadcast_to(
        np.asarray(getattr(model, "intercept_", 0.0), dtype=np.float64), len(weights)
    )
    if len(weights) == 1:
        weights, biases = np.vstack([0 * weights, weights]), np.append(0.0, biases)
    is_right = len(weights) == len(model.classes_) and _predicts(model, weights, biases, box)
    return (weights, biases) if is_right else None


def _predicts(model, weights, biases, box):
    """Whether a model predicts the largest score: some have other things in their `coef_`."""
    x, y = np.meshgrid(*(np.linspace(*box[:, axis], _PROBES) for axis in (0, 1)))
    points = np.column_stack([x.ravel(), y.ravel()])
    scores = points @ weights.T + biases
    second, first = np.sort(scores, axis=1)[:, -2:].T
    size = np.abs(points).max(axis=0) @ np.abs(weights).max(axis=0) + np.abs(biases).max()
    clear = first - second > 1e-5 * size  # the model may compute in float32
    predicted = np.asarray(model.predict(as_input(model, points[clear]))) if clear.any() else []
    return np.array_equal(predicted, model.classes_[scores[clear].argmax(axis=1)])


def as_input(model, points):
    """Return points with the names of the columns that the model was fitted on."""
    if not hasattr(model, "feature_names_in_"):
        return points
    import pandas as pd

    return pd.DataFrame(points, columns=list(model.feature_names_in_))


def boundaries(weights, biases, box):
    """Return the Boundary of every two classes whose weights differ.

    Parameters
    ----------
    weights : ndarray, shape (n_classes, 2)
    biases : ndarray, shape (n_classes,)
    box : ndarray, shape (2, 2)
        The lower left and the upper right corner of the picture.
    """
    walls = [
        (side * np.eye(2)[axis], -side * corner[axis])
        for side, corner in zip((1, -1), box, strict=True)
        for axis in (0, 1)
    ]
    found = []
    for i, j in combinations(range(len(weights)), 2):
        normal, offset = weights[i] - weights[j], biases[i] - biases[j]
        if not normal.any():
            continue
        rivals = [
            (weights[i] - weights[k], biases[i] - biases[k])
            for k in range(len(weights))
            if k not in (i, j)
        ]
        whole = _clip(normal, offset, walls)
        found.append(Boundary((i, j), _clip(normal, offset, walls + rivals), whole))
    return found


def _clip(normal, offset, half_planes):
    """Return the ends of the part of normal x + offset = 0 where each a x + c >= 0; or None."""
    point = -offset * normal / (normal @ normal)
    direction = np.array([-normal[1], normal[0]]) / np.hypot(*normal)
    low, high = -np.inf, np.inf
    for a, c in half_planes:
        value, slope = a @ point + c, a @ direction
        if abs(slope) <= 1e-12 * np.hypot(*a):  # parallel: all of the line is in, or none
            if value < 0:
                return None
        elif slope > 0:
            low = max(low, -value / slope)
        else:
            high = min(high, -value / slope)
    return np.array([point + low * direction, point + high * direction]) if low < high else None


def score_differences(model, points, predicted):
    """Return functions of the points, (n, n_points), each 0 where its class begins.

    Scores if their largest is what the model predicts, as it is of all probabilities; else 1/2
    inside and -1/2 outside.
    """
    n_classes = len(model.classes_)
    numbers = range(1, 2) if n_classes == 2 else range(n_classes)
    scores = _scores(model, points, n_classes)
    if scores is None or (scores.argmax(axis=1) != predicted).any():
        return [(predicted == k) - 0.5 for k in numbers]
    return [scores[:, k] - np.delete(scores, k, axis=1).max(axis=1) for k in numbers]


def _scores(model, points, n_classes):
    for method in ("decision_function", "predict_proba"):
        if hasattr(model, method):
            scores = np.asarray(getattr(model, method)(points), dtype=np.float64)
            if scores.ndim == 1:
                scores = np.column_stack([np.zeros(len(scores)), scores])
            return scores if scores.shape[1] == n_classes else None
    return None
