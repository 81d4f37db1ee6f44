"""set_callbacks, which scikit-learn has from 1.9 on."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import fastsoftmax as fs

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")


class Recorder:
    """Remembers the tasks that it is told of."""

    def __init__(self, stop_after=None):
        self.begun, self.ended, self.scores, self.stop_after = [], [], [], stop_after
        self.calls = []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.begun.append((context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        self.ended.append((context.task_name, context.task_id))
        if fitted_estimator is not None:
            self.scores.append(fitted_estimator.score(X, y))
        return context.task_name != "fit" and len(self.ended) == self.stop_after


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cholesky"])
def test_fits_are_tasks_and_epochs_are_tasks_of_theirs(solver, images):
    X, y = images(dtype="float64")
    recorder = Recorder()
    clf = fs.SoftmaxRegression(solver=solver, max_iter=4, tol=0, random_state=0)
    clf.set_callbacks(recorder).fit(X, y)
    assert recorder.calls == ["setup", "teardown"]
    name = "epoch" if solver == "adam" else "iteration"
    n_iter = int(clf.n_iter_[0])
    tasks = [(name, i) for i in range(n_iter if solver == "adam" else n_iter + 1)]
    assert recorder.begun == [("fit", 0), *tasks]
    assert recorder.ended == [*tasks, ("fit", 0)]
    assert len(recorder.scores) == n_iter + 1
    assert recorder.scores[-1] == clf.score(X, y)
    assert clf.history_["accuracy"][-1] == pytest.approx(clf.score(X, y), abs=0.1)
    plain = clone(clf).set_callbacks().fit(X, y)
    np.testing.assert_array_equal(plain.coef_, clf.coef_)


def test_a_callback_ends_the_fit(images):
    X, y = images()
    clf = fs.MLPClassifier((5,), max_iter=50, random_state=0)
    assert clf.set_callbacks(Recorder(stop_after=3)).fit(X, y).n_iter_ == 3


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_fails_tears_down(images):
    X, y = images()
    recorder = Recorder()

    class Broken:
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("broken")

    clf = fs.MLPClassifier((5,), max_iter=3).set_callbacks(recorder)
    with pytest.raises(RuntimeError, match="broken"):
        clf.fit(X, y, callbacks=[Broken()])
    assert recorder.calls == ["setup", "teardown"]
    assert clf.fit(X, y).n_iter_ == 3


@pytest.mark.peer
def test_progress_bars_under_a_grid_search(images, capsys):
    pytest.importorskip("rich", reason="rich is absent")
    X, y = images(dtype="float64")
    search = GridSearchCV(fs.SoftmaxRegression(max_iter=500), {"C": [0.1, 1.0]}, cv=2)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=2)).fit(X, y)
    assert "SoftmaxRegression" in capsys.readouterr().out
