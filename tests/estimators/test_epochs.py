"""Epoch by epoch: stopping, warm starts, schedules, partial_fit, what is printed, interruption."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import fastsoftmax as fs
from fastsoftmax.estimators._steps import learning_rate_at
from fastsoftmax.estimators.callbacks import Callback


@pytest.mark.parametrize("own", [False, True])
def test_early_stopping_restores_the_best_weights(images, noisy, own, capsys):
    X, y = noisy()
    X_val, y_val = images(300, dtype="float64")
    clf = fs.MLPClassifier((64,), learning_rate_init=0.02, max_iter=500, early_stopping=True)
    clf.set_params(n_iter_no_change=5, random_state=0, verbose=1)
    clf.fit(X, y, X_val=X_val, y_val=y_val) if own else clf.fit(X, y)
    scores = clf.history_["val_accuracy"]
    assert clf.n_iter_ == len(scores) < 500
    assert max(scores[-5:]) <= max(scores[:-5]) + clf.tol
    assert (
        "val_accuracy did not improve by more than tol=0.0001 for 5 epochs"
        in capsys.readouterr().out
    )
    if own:
        assert clf.score(X_val, y_val) == max(scores)


def test_training_stops_when_the_loss_does(images):
    X, y = images(dtype="float64")
    clf = fs.MLPClassifier((16,), learning_rate_init=0.05, max_iter=3000, tol=1e-3, random_state=0)
    clf.fit(X, y)
    gains = -np.diff(clf.history_["loss"])
    assert clf.n_iter_ < 3000
    assert (gains[-10:] <= 1e-3).all()
    assert gains[-11] > 1e-3


@pytest.mark.filterwarnings("ignore:.*(did not|failed to) converge")
def test_warm_start_goes_on(noisy):
    X, y = noisy()
    for clf in (
        fs.MLPClassifier((16,), max_iter=3, random_state=0, warm_start=True),
        fs.SoftmaxRegression(max_iter=3, warm_start=True),
    ):
        losses = [clf.fit(X, y).evaluate(X, y)["loss"] for _ in range(4)]
        assert losses == sorted(losses, reverse=True)
        with pytest.raises(ValueError, match="warm_start needs the classes of the last fit"):
            clf.fit(X, y == 1)
        clf.set_params(warm_start=False).fit(X, y)
        assert clf.evaluate(X, y)["loss"] == pytest.approx(losses[0])


def test_schedules():
    assert learning_rate_at("constant", 0.1, 7, 10) == 0.1
    assert learning_rate_at("invscaling", 0.1, 3, 10) == pytest.approx(0.05)
    assert learning_rate_at("cosine", 0.1, 0, 10) == 0.1
    assert learning_rate_at("cosine", 0.1, 5, 10) == pytest.approx(0.05)
    assert learning_rate_at(lambda epoch: 0.5**epoch, 0.1, 2, 10) == 0.25
    with pytest.raises(ValueError, match=r"learning_rate\(2\) must be .* got nan"):
        learning_rate_at(lambda epoch: float("nan"), 0.1, 2, 10)


@pytest.mark.parametrize("schedule", ["invscaling", "cosine", lambda epoch: 0.02 / (epoch + 1)])
def test_schedules_train(schedule, images):
    X, y = images()
    clf = fs.MLPClassifier(
        (16,), learning_rate=schedule, learning_rate_init=0.02, max_iter=40, batch_size=32
    )
    clf.set_params(random_state=0)
    assert clf.fit(X, y).score(X, y) > 0.9


def test_partial_fit_goes_on_where_it_was(make, images):
    X, y = images(900)
    clf = make(random_state=0)
    for start in [0, 300, 600] * 8:
        clf.partial_fit(X[start : start + 300], y[start : start + 300], classes=np.arange(5))
    assert clf.score(X, y) > 0.9
    assert len(clf.history_["loss"]) == clf.n_iter_ == 24
    with pytest.raises(ValueError, match=r"only the classes \[0, 1, 2, 3, 4\], got 9 at row 1"):
        clf.partial_fit(X[:2], [0, 9])
    with pytest.raises(ValueError, match="those of the first call"):
        clf.partial_fit(X[:2], [0, 1], classes=[0, 1])


def test_a_line_per_epoch(images, capsys):
    X, y = images()
    clf = fs.MLPClassifier((8,), max_iter=2, verbose=1).fit(X, y, X_val=X, y_val=y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("Epoch 2/2 - ")
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert f"{name}: {clf.history_[name][1]:.4f}" in lines[1]
    fs.MLPClassifier((8,), max_iter=2).fit(X, y)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_ctrl_c_keeps_what_was_learned(solver, images):
    X, y = images()

    class PressCtrlC(Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    clf = fs.MLPClassifier((16,), solver=solver, max_iter=50, learning_rate_init=0.05)
    clf.set_params(random_state=0)
    with pytest.warns(
        UserWarning, match=r"interrupted in .* 4 of 50; .* keeps what it has learned"
    ):
        assert clf.fit(X, y, callbacks=[PressCtrlC()]) is clf
    assert len(clf.history_["loss"]) == 3
    best = min(clf.history_["loss"])
    assert clf.evaluate(X, y)["loss"] <= best * (1 + 1e-6)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_a_loss_that_becomes_nan_stops_and_keeps_good_weights(make, images):
    X, y = images(dtype="float32")
    rates = [0.01, 0.01, 1e30]
    clf = make(max_iter=10, random_state=0)
    clf.set_params(solver="sgd", learning_rate=lambda epoch: rates[min(epoch, 2)])
    words = r"epoch 3 at learning rate 1e\+30.*after epoch 2"
    with pytest.warns(ConvergenceWarning, match=words):
        clf.fit(X, y)
    assert len(clf.history_["loss"]) == 2
    good = make(max_iter=2, random_state=0).set_params(solver="sgd", learning_rate_init=0.01)
    np.testing.assert_array_equal(clf.predict_proba(X), good.fit(X, y).predict_proba(X))
