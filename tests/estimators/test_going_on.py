"""Calls of partial_fit go on with the compiled step of the call before, to the bits of a fresh one."""

import copy
import pickle
import threading
import warnings
import weakref

import needs
import numpy as np
import pytest
from scipy import sparse

import fastsoftmax as fs

pytestmark = needs.compiled

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 37)).astype(np.float32)
Y = X[:, :5].argmax(axis=1)


def network(solver="adam", **options):
    return fs.MLPClassifier((40,), solver=solver, random_state=0, **options)


def regression(solver="adam", **options):
    return fs.SoftmaxRegression(solver=solver, random_state=0, **options)


def begun(make=network, **options):
    return make(**options).partial_fit(X[:50], Y[:50], np.arange(5))


def bits(clf):
    arrays = [*clf._network.arrays, *clf._state.optimizer.first, *clf._state.optimizer.second]
    return [array.tobytes() for array in arrays], clf._state.optimizer.step, clf.history_


def is_held(clf):
    return clf._state.held is not None


def assert_goes_on_like_a_copy(clf, change, rows=slice(50, 90), **options):
    """Compare a call after `change` with the same call of a copy, which has no step to go on with."""
    other = pickle.loads(pickle.dumps(clf))
    assert is_held(clf)
    assert not is_held(other)
    for one in (clf, other):
        change(one)
        one.partial_fit(X[rows], Y[rows], **options)
    assert bits(clf) == bits(other)


def nothing(clf):
    pass


@pytest.mark.parametrize("make", [network, regression])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("rows", [slice(50, 100), slice(100, 107), slice(0, 400)])
def test_a_step_that_goes_on_has_the_bits_of_a_fresh_one(make, solver, rows):
    clf = begun(make, solver=solver)
    for _ in range(3):
        assert_goes_on_like_a_copy(clf, nothing, rows)


def edit_in_place(clf):
    clf.coefs_[0][3, 4] = 7
    clf.intercepts_[1][2] -= 1


def replace(clf):
    clf.coefs_ = [np.asfortranarray(2 * coef) for coef in clf.coefs_]
    clf.intercepts_ = tuple(clf.intercepts_)


CHANGES = {
    "coefs_ in place": edit_in_place,
    "coefs_ replaced": replace,
    "learning_rate_init": lambda clf: clf.set_params(learning_rate_init=0.1),
    "alpha": lambda clf: clf.set_params(alpha=0.5),
    "solver": lambda clf: clf.set_params(solver="sgd"),
    "beta_1 and epsilon": lambda clf: clf.set_params(beta_1=0.5, epsilon=1e-3),
    "label_smoothing": lambda clf: clf.set_params(label_smoothing=0.3),
    "batch_size": lambda clf: clf.set_params(batch_size=9),
    "the optimiser's state": lambda clf: setattr(
        clf._state, "optimizer", clf._state.optimizer._replace(step=100)
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_has_changed_between_two_calls_counts(change):
    clf = begun()
    assert_goes_on_like_a_copy(clf, change)
    assert_goes_on_like_a_copy(clf, nothing)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_threads_may_change_between_two_calls(n_threads, monkeypatch):
    monkeypatch.setattr("fastsoftmax.estimators._compiled.WORK_A_THREAD", 1)
    clf = begun()
    with fs.set_num_threads(n_threads):
        assert_goes_on_like_a_copy(clf, nothing)


def test_sparse_and_weighted_rows_go_on_too():
    clf, other = begun(), begun()
    weights = RNG.random(50)
    for _ in range(2):
        clf.partial_fit(sparse.csr_matrix(X[:50]), Y[:50], sample_weight=weights)
        other = pickle.loads(pickle.dumps(other)).partial_fit(X[:50], Y[:50], sample_weight=weights)
    assert bits(clf) == bits(other)


def test_another_back_end_takes_over_and_gives_back():
    clf = begun()
    with fs.use_backend("numpy"):
        clf.partial_fit(X, Y)
        assert not is_held(clf)
    clf.partial_fit(X, Y)
    other = begun()
    with fs.use_backend("numpy"):
        other.partial_fit(X, Y)
    other = copy.deepcopy(other).partial_fit(X, Y)
    assert bits(clf) == bits(other)


def test_rows_that_overflow_leave_no_trace():
    clf, other = begun(), begun()
    with pytest.warns(UserWarning, match="NaN or infinite"):
        clf.partial_fit(np.full((50, 37), 3e38, np.float32) * np.sign(X[:50]), Y[:50])
    for one in (clf, other):
        one.partial_fit(X, Y)
    assert bits(clf)[:2] == bits(other)[:2]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda clf: clf.coefs_[0].__setitem__((1, 1), np.nan),
        lambda clf: clf.coefs_.__setitem__(0, clf.coefs_[0][:, :5]),
        lambda clf: clf.coefs_.__setitem__(1, clf.coefs_[1].astype(float)),
        lambda clf: setattr(clf, "coefs_", [coef.astype(float) for coef in clf.coefs_]),
        lambda clf: setattr(clf, "coefs_", [c[:, ::-1].T.astype(">f4").T for c in clf.coefs_]),
        lambda clf: setattr(clf, "intercepts_", clf.intercepts_[:1]),
        lambda clf: setattr(clf, "classes_", np.arange(4)),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_can_be_mended(spoil):
    clf, other = begun(), begun()
    kept = copy.deepcopy({k: v for k, v in vars(clf).items() if k.endswith("_")})
    spoil(clf)
    with pytest.raises(ValueError, match=r"coefs_|intercepts_|classes_"):
        clf.partial_fit(X[:50], Y[:50] % 4)
    vars(clf).update(kept)
    for one in (clf, other):
        one.partial_fit(X[:50], Y[:50])
    assert bits(clf)[:2] == bits(other)[:2]


def test_results_of_earlier_calls_stay_as_they_are():
    clf = begun()
    coefs, before = clf.coefs_, [coef.copy() for coef in clf.coefs_]
    clf.partial_fit(X, Y)
    for kept, one in zip(coefs, before, strict=True):
        np.testing.assert_array_equal(kept, one)


def test_the_rows_of_a_call_are_not_kept():
    clf, rows = begun(), X[:50].copy()
    clf.partial_fit(rows, Y[:50])
    alive = weakref.ref(rows)
    del rows
    assert alive() is None


def test_a_fit_keeps_no_step():
    clf = begun()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf.set_params(max_iter=1).fit(X, Y)
    assert not is_held(clf)


def test_shallow_copies_do_not_train_in_one_memory():
    """They share what `_state` is, but a step serves one of them at a time."""
    clf = begun(learning_rate_init=0.01)
    copies = [copy.copy(clf) for _ in range(4)]
    start, failed = threading.Barrier(4), []

    def train(one):
        start.wait()
        try:
            for _ in range(20):
                one.partial_fit(X, Y)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=train, args=(one,)) for one in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    for one in copies:
        assert one._network.is_finite()
        assert one.score(X, Y) > 0.8
