"""Several threads that train at once, and forked processes."""

import multiprocessing
import sys
import threading

import numpy as np
import pytest

import fastsoftmax as fs


def test_threads_training_at_once(images):
    X, y = images(2000)
    make = lambda: fs.MLPClassifier((64,), max_iter=5, random_state=0)  # noqa: E731
    expected = make().fit(X, y).predict_proba(X)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(make().fit(X, y).predict_proba(X)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for got in found:
        np.testing.assert_array_equal(got, expected)


def _fit_in_child(X, y, queue):
    queue.put(fs.MLPClassifier((64,), max_iter=3, random_state=0).fit(X, y).predict_proba(X))


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_trains(images):
    X, y = images(2000)
    expected = fs.MLPClassifier((64,), max_iter=3, random_state=0).fit(X, y).predict_proba(X)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_fit_in_child, args=(X, y, queue), daemon=True)
    child.start()
    got = queue.get(timeout=60)
    child.join(timeout=60)
    np.testing.assert_array_equal(got, expected)
