"""The fields of a model file's metadata: how values become JSON, and what they must be to be read."""

import json
import re
from numbers import Integral, Real

import numpy as np

from . import _checks

_NUMBERS = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
_WORDS = re.compile(r"[<>=]U\d{1,9}|O")


# To JSON


def plain(value):
    """Return numbers of other classes, and NumPy's arrays, as JSON writes them."""
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{value!r} is not JSON")


def as_json(value):
    """Return a parameter as JSON gives it back; a dict as pairs, for its keys may be numbers."""
    if isinstance(value, dict):
        value = {"pairs": list(value.items())}
    return json.loads(json.dumps(value, default=plain))


def _from_json(value):
    if isinstance(value, dict) and set(value) == {"pairs"}:
        return dict(value["pairs"])
    return value


def classes_as_json(classes):
    """Return the field of classes_."""
    if classes.dtype.kind not in "biufUO" or (
        classes.dtype.kind == "f" and classes.dtype.itemsize > 8
    ):
        raise ValueError(
            f"classes must be numbers or strings to be saved, got dtype {classes.dtype}"
        )
    values = classes.tolist()
    if classes.dtype.kind == "O" and not all(isinstance(value, str) for value in values):
        raise ValueError("classes of mixed types cannot be saved")
    return {"dtype": classes.dtype.str if classes.dtype.kind != "O" else "O", "values": values}


# From JSON


def parse(text):
    """Return a JSON object; ValueError about all else."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("its metadata are nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"its metadata are no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("its metadata are no JSON object")
    return found


class Fields:
    """Reads the fields of an object one by one; a ValueError names the field that is wrong."""

    def __init__(self, values, prefix=""):
        self._values, self._prefix = values, prefix

    def _get(self, name):
        if name not in self._values:
            raise ValueError(f"{self._prefix}{name} is missing")
        return self._values[name]

    def _wrong(self, name, expected):
        value = self._values.get(name)
        return ValueError(f"{self._prefix}{name} must be {expected}, got {value!r:.80}")

    def boolean(self, name, default=None):
        """Return true or false."""
        if default is not None and name not in self._values:
            return default
        if not isinstance(self._get(name), bool):
            raise self._wrong(name, "true or false")
        return self._values[name]

    def count(self, name, low=0, high=2**53):
        """Return an integer in [low, high)."""
        value = self._get(name)
        if not isinstance(value, int) or not _checks.is_count(value, high) or value < low:
            raise self._wrong(name, f"an integer in [{low}, {high})")
        return value

    def scale(self, name):
        """Return a factor or divisor."""
        value, (low, high) = self._get(name), _checks.SCALES
        if not _checks.is_finite_number(value) or not low <= value <= high:
            raise self._wrong(name, f"a number in [{low:g}, {high:g}]")
        return float(value)

    def score(self, name):
        """Return a finite number; -inf for null."""
        value = self._get(name)
        if value is None:
            return -np.inf
        if not _checks.is_finite_number(value):
            raise self._wrong(name, "a finite number or null")
        return float(value)

    def history(self):
        """Return the history."""
        try:
            return _checks.check_history(self._values.get("history"))
        except ValueError as error:
            raise ValueError(f"history: {error}") from None

    def params(self, estimator):
        """Return the parameters, of those that the estimator has."""
        found, known = self._get("params"), estimator.get_params(deep=False)
        if not isinstance(found, dict):
            raise self._wrong("params", "an object")
        for name in found:
            if name not in known:
                raise ValueError(f"params has {name!r:.80}, which is no parameter")
        try:
            return {name: _from_json(value) for name, value in found.items()}
        except (TypeError, ValueError):
            raise self._wrong("params", "an object of parameters") from None

    def feature_names(self, n_features):
        """Return the names of the features, or None."""
        names = self._get("feature_names_in")
        if names is None:
            return None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self._wrong("feature_names_in", "a list of strings or null")
        if len(names) != n_features:
            raise ValueError(f"feature_names_in must be {n_features} names, got {len(names)}")
        return np.array(names, dtype=object)

    def classes(self, is_multilabel):
        """Return the classes: at least two numbers or strings, sorted, each once."""
        field = self._get("classes")
        if not isinstance(field, dict) or set(field) != {"dtype", "values"}:
            raise self._wrong("classes", "an object of dtype and values")
        found = _classes(field["dtype"], field["values"])
        if found is None or len(found) < 2 or not np.array_equal(np.unique(found), found):
            raise self._wrong("classes", "at least two numbers or strings of their dtype, sorted")
        if is_multilabel and not np.array_equal(found, np.arange(len(found))):
            raise self._wrong("classes", "0, 1, 2 and so on, one for each label")
        return found

    def training(self):
        """Return the fields of the training state, or None."""
        if "training" not in self._values:
            return None
        if not isinstance(self._values["training"], dict):
            raise self._wrong("training", "an object")
        return Fields(self._values["training"], "training.")


def _classes(dtype, values):
    """Return values of a dtype as an array; None if they are not such values."""
    if not isinstance(dtype, str) or not isinstance(values, list):
        return None
    if _WORDS.fullmatch(dtype):
        if not all(type(value) is str for value in values):
            return None
        found = np.array(values, dtype=object if dtype == "O" else None)
    elif _NUMBERS.fullmatch(dtype):
        dtype = np.dtype(dtype)
        kinds = {"b": (bool,), "f": (int, float)}.get(dtype.kind, (int,))
        if not all(type(value) in kinds for value in values):
            return None
        try:
            with np.errstate(over="ignore"):
                found = np.array(values, dtype=dtype)
        except OverflowError:
            return None
        if dtype.kind == "f" and not np.isfinite(found).all():
            return None
    else:
        return None
    return found if found.ndim == 1 and found.tolist() == values else None
