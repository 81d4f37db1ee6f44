"""Nothing that an estimator computes depends on np.errstate."""

import warnings

import numpy as np
import pytest

import fastsoftmax as fs

X = (3 * np.random.default_rng(0).standard_normal((120, 6))).astype(np.float32)
Y = np.arange(120) % 3
WIDE = np.concatenate([X, np.float32(1e30) * X, np.float32(1e-40) * X])

MODELS = {
    "lbfgs": lambda: fs.SoftmaxRegression(max_iter=500),
    "adam": lambda: fs.SoftmaxRegression(solver="adam", max_iter=5, random_state=0),
    "network": lambda: fs.MLPClassifier((8,), max_iter=5, random_state=0),
    "early stopping": lambda: fs.MLPClassifier(
        (8,), max_iter=5, early_stopping=True, random_state=0
    ),
    "two layers": lambda: fs.MLPClassifier((8, 4), max_iter=5, random_state=0),
}


def work(model):
    """Fit and use a model; return the bits of all that came of it."""
    model.fit(X, Y)
    found = [model.predict_proba(WIDE), model.predict_log_proba(WIDE), model.predict(WIDE)]
    found += [
        model.score(X, Y),
        *model.evaluate(X, Y, sample_weight=np.linspace(0, 1, 120)).values(),
    ]
    return [np.asarray(one).tobytes() for one in found]


@pytest.mark.parametrize("name", MODELS)
def test_no_estimator_depends_on_errstate(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few epochs
        want = work(MODELS[name]())
        with np.errstate(all="raise"):
            assert work(MODELS[name]()) == want
