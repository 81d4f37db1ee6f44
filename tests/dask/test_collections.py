"""What may be fitted on, and what is lazy: arrays, frames, pieces; uint8 as it is; refusals."""

import asyncio
import gc
import itertools
import os
import sys
import time
import warnings
from concurrent.futures import CancelledError
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

distributed = pytest.importorskip("distributed")
pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")
dd = pytest.importorskip("dask.dataframe")
pytestmark = pytest.mark.peer

import dask  # noqa: E402
import dask.array as da  # noqa: E402
from partitions import cut, make_rows, pieces_held, threads_inside  # noqa: E402
from sklearn.base import clone  # noqa: E402

import fastsoftmax as fs  # noqa: E402
from fastsoftmax.dask import MLPClassifier, SoftmaxRegression, _cluster, _waiting  # noqa: E402
from fastsoftmax.dask._waiting import Watch, fullest_if_stuck, wait_for  # noqa: E402
from fastsoftmax.estimators.callbacks import Callback  # noqa: E402

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("n_classes", [2, 5])
def test_predictions_are_lazy(two_workers, n_classes):
    X, y = make_rows(n_classes=n_classes)
    X_cut, y_cut = cut(X, y)
    model = SoftmaxRegression(max_iter=300, client=two_workers).fit(X_cut, y_cut)
    local = model.to_local()
    assert type(local) is fs.SoftmaxRegression
    for method in METHODS:
        lazy, there = getattr(model, method)(X_cut), getattr(local, method)(X)
        assert isinstance(lazy, da.Array)
        assert (lazy.dtype, lazy.shape) == (there.dtype, there.shape)
        assert lazy.chunks[0] == X_cut.chunks[0]
        assert type(lazy._meta) is np.ndarray
        np.testing.assert_array_equal(lazy.compute(scheduler=two_workers), there)
        np.testing.assert_array_equal(lazy.compute(scheduler="threads"), there)
        np.testing.assert_array_equal(getattr(model, method)(X), there)
    scores = model.evaluate(X_cut, y_cut, top_k=2), local.evaluate(X, y, top_k=2)
    assert scores[0] == pytest.approx(scores[1], rel=1e-12)
    assert model.score(X_cut, y_cut) == local.score(X, y)
    temperature = model.calibrate(X_cut, y_cut).temperature_
    assert temperature == pytest.approx(local.calibrate(X, y).temperature_, rel=1e-6)


@quiet
@pytest.mark.parametrize("model", [SoftmaxRegression(max_iter=2), MLPClassifier((3,), max_iter=1)])
def test_a_local_model_shares_nothing(model, one_worker):
    X_cut, y_cut = cut(*make_rows())
    model = clone(model).set_params(client=one_worker).fit(X_cut, y_cut)
    local = model.to_local()
    for array in (*model._network.arrays, *model._state.network.arrays, model.classes_):
        for other in (*local._network.arrays, *local._state.network.arrays, local.classes_):
            assert not np.shares_memory(array, other)
    assert vars(model).get("coefs_", 0) is not vars(local).get("coefs_", 1)


def test_frames_and_pieces(two_workers, tmp_path):
    X, y = make_rows(dtype=np.float64)
    words = np.array(["ant", "bee", "cat", "dog", "eel"])[y]
    table = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    frame = dd.from_pandas(table.assign(y=words), npartitions=5)
    rows = frame[list(table.columns)]
    model = SoftmaxRegression(max_iter=300, client=two_workers).fit(rows, frame["y"])
    assert list(model.feature_names_in_) == list(table.columns)
    assert model.classes_.tolist() == sorted(set(words))
    local = model.to_local()
    predicted = model.predict(rows)
    assert predicted.shape[0] != predicted.shape[0]  # of unknown length
    np.testing.assert_array_equal(predicted.compute(scheduler=two_workers), local.predict(table))
    assert model.score(rows, frame["y"]) == local.score(table, words)

    ends = np.cumsum([0, *frame.map_partitions(len).compute(scheduler="sync")])
    pieces = [
        [dask.delayed(a[start:stop]) for start, stop in itertools.pairwise(ends)]
        for a in (table, words)
    ]
    again = clone(model).fit(*pieces)
    assert again.client is two_workers
    np.testing.assert_array_equal(again.coef_, model.coef_)
    lazy = again.predict(pieces[0])
    assert isinstance(lazy, list)
    np.testing.assert_array_equal(
        lazy[1].compute(scheduler="sync"), local.predict(table)[ends[1] : ends[2]]
    )

    path = tmp_path / "model.safetensors"
    model.save(path)
    np.testing.assert_array_equal(fs.load_model(path).coef_, model.coef_)
    np.testing.assert_array_equal(SoftmaxRegression.load(path).coef_, model.coef_)


def test_empty_partitions_take_no_part(two_workers):
    X, y = make_rows()
    table = pd.DataFrame(X, columns=[str(i) for i in range(X.shape[1])]).assign(
        y=y, row=np.arange(len(y))
    )
    frame = dd.from_pandas(table, npartitions=6)
    some = frame[frame["row"] < 900]
    model = SoftmaxRegression(client=two_workers, max_iter=300).fit(some[list("01")], some["y"])
    assert model.predict(some[list("01")]).compute(scheduler=two_workers).shape == (900,)


def forget_other_fits(client):
    """Let the workers give up the pieces of estimators that nobody holds any more."""
    gc.collect()
    while any(client.run(pieces_held).values()):
        time.sleep(0.01)


@quiet
def test_uint8_is_read_where_it_lies(two_workers):
    forget_other_fits(two_workers)
    images = np.random.default_rng(0).integers(0, 256, (600, 6, 5), dtype=np.uint8)
    y = (images[:, 0, 0] > 127).astype(int) + (images[:, 1, 1] > 127)
    X_cut, y_cut = cut(images, y, n_partitions=4)
    X_cut = two_workers.persist(X_cut)
    with two_workers.as_current():
        distributed.wait(X_cut)
    held = distributed.futures_of(X_cut)
    kinds = {}  # of each piece, once: a worker that helped another has a copy of its piece

    class Look(fs.estimators.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            kinds.clear()
            for pieces in two_workers.run(pieces_held).values():
                kinds.update(pieces)

    model = SoftmaxRegression(client=two_workers, max_iter=3).fit(X_cut, y_cut, callbacks=[Look()])
    assert model.input_scale_ == 1 / 255
    assert len(kinds) == len(held)
    assert set(kinds.values()) == {None}  # the user's own arrays, not copied
    lazy = MLPClassifier((4,), client=two_workers, max_iter=2, random_state=0)
    lazy.fit(*cut(images, y, n_partitions=4), callbacks=[Look()])
    assert set(kinds.values()) == {"uint8"}


def test_scattered_data_are_refused(two_workers):
    X, y = make_rows(n=100)
    scattered = two_workers.scatter([X[:50], X[50:]]), two_workers.scatter([y[:50], y[50:]])
    model = SoftmaxRegression(client=two_workers)
    with pytest.raises(ValueError, match="data that have been scattered"):
        model.fit(*map(list, scattered))
    below = [
        da.concatenate(
            [da.from_delayed(dask.delayed(np.array)(x), (50, *shape), dtype) for x in xs]
        )
        for xs, shape, dtype in zip(scattered, [(20,), ()], [X.dtype, y.dtype], strict=True)
    ]
    with pytest.raises(ValueError, match="data that have been scattered"):
        model.fit(*two_workers.persist(below))


def pieces(array):
    return [dask.delayed(array[:50]), dask.delayed(array[50:])]


def test_what_is_refused(two_workers):
    X, y = make_rows(n=100)
    X_cut, y_cut = cut(X, y, n_partitions=4)
    model = SoftmaxRegression(client=two_workers)
    with pytest.raises(TypeError, match=r"X must be a Dask array, .* ndarray\. What is in memory"):
        model.fit(X, y)
    with pytest.raises(
        ValueError, match=r"X must have whole rows in each chunk.*rechunk\({1: -1}\)"
    ):
        model.fit(X_cut.rechunk({1: 10}), y_cut)
    with pytest.raises(ValueError, match="y must have 100 rows like X, got 99"):
        model.fit(X_cut, y_cut[:99])
    with pytest.raises(ValueError, match="n_replicas must be at least 1"):
        MLPClassifier(client=two_workers, n_replicas=0).fit(X_cut, y_cut)
    with pytest.raises(ValueError, match=r"partition [0-3]: Input X contains NaN"):
        model.fit(da.where(X_cut > 1, np.nan, X_cut), y_cut)
    with pytest.raises(AttributeError, match="partial_fit"):
        model.partial_fit(X, y)
    with pytest.raises(ValueError, match="one class: 1"):
        model.fit(X_cut, y_cut * 0 + 1)
    mixed = [dask.delayed(x) for x in (X[:50], X[50:].astype(np.float64))]
    with pytest.raises(ValueError, match="same dtype, got float32 in partition 0 and float64"):
        model.fit(mixed, [dask.delayed(x) for x in (y[:50], y[50:])])
    with pytest.raises(ValueError, match="labels of one kind, got int64 in partition 0 and <U"):
        model.fit(pieces(X), [dask.delayed(y[:50]), dask.delayed(y[50:].astype(str))])
    with pytest.raises(TypeError, match="partition 1: X must be array_like, got NoneType"):
        model.fit([dask.delayed(X[:50]), dask.delayed(None)], pieces(y))
    table = pd.DataFrame({"x": X[:, 0], "word": "ant"})
    with pytest.raises(ValueError, match=r"partition 0: X must .* in the columns word"):
        model.fit([dask.delayed(table)], [dask.delayed(y)])
    with pytest.raises(ValueError, match="X must have rows, got an array without axes"):
        model.fit(da.from_array(np.float32(1)), y_cut)
    with pytest.raises(
        ValueError, match="X has 19 features, but SoftmaxRegression is expecting 20"
    ):
        model.fit(X_cut, y_cut).predict(X_cut[:, 1:].rechunk({1: -1}))
    hook = type("Batches", (fs.estimators.callbacks.Callback,), {"on_train_batch_end": print})
    with pytest.raises(ValueError, match="no hooks for batches"):
        MLPClassifier(client=two_workers).fit(X_cut, y_cut, callbacks=[hook()])


class Unreadable(Exception):
    pass


def test_what_reading_raises_arrives_unharmed(two_workers):
    X, y = make_rows(n=100)

    def read(i):
        if i:
            raise Unreadable("disk full of sand", 7)
        return X[:50]

    model = SoftmaxRegression(client=two_workers)
    with pytest.raises(Unreadable) as raised:
        model.fit([dask.delayed(read)(i) for i in range(2)], pieces(y))
    assert raised.value.args == ("disk full of sand", 7)
    model.fit(pieces(X), pieces(y))
    with pytest.raises(Unreadable):
        model.score([dask.delayed(read)(i) for i in range(2)], pieces(y))


def test_partitions_without_weight_take_no_part(two_workers):
    X, y = make_rows()
    weights = np.ones(len(y))
    weights[:400] = 0
    some = SoftmaxRegression(client=two_workers, solver="lbfgs").fit(*cut(X, y, weights))
    local = fs.SoftmaxRegression(solver="lbfgs").fit(X, y, weights)
    np.testing.assert_allclose(some.coef_, local.coef_, atol=1e-3)
    assert some.score(*cut(X, y, weights)) == pytest.approx(local.score(X, y, weights), abs=0.005)


@pytest.mark.parametrize(("weight", "total"), [(1e303, "1e\\+305"), (1e-304, "1e-302")])
def test_weights_whose_sum_is_out_of_range_are_refused(two_workers, weight, total):
    X, y = make_rows(n=100)
    model = SoftmaxRegression(client=two_workers).fit(*cut(X, y, n_partitions=2))
    with pytest.raises(ValueError, match=rf"sample_weight must have a sum in .*, got {total}"):
        model.evaluate(*cut(X, y, np.full(100, weight), n_partitions=2))


def test_clients_are_checked(two_workers):
    X, y = cut(*make_rows(n=20), n_partitions=2)
    with pytest.raises(TypeError, match=r"client must be a distributed\.Client, got str"):
        SoftmaxRegression(client=two_workers.scheduler.address).fit(X, y)
    client = distributed.Client(two_workers.scheduler.address, set_as_default=False)
    client.close()
    with pytest.raises(ValueError, match="client must be connected, got one that is closed"):
        SoftmaxRegression(client=client).fit(X, y)


def answers(monkeypatch, **there):
    monkeypatch.setattr(distributed.Client, "run", lambda *args, **options: there)


def test_workers_must_have_this_version(two_workers, monkeypatch):
    cluster, here = _cluster.Cluster(two_workers), fs.__version__
    assert {a[0] for a in two_workers.run(_cluster._library_there()).values()} == {here}
    answers(monkeypatch, a=(here, "cython/v3"), b=("0.0.1", "cython/v3"))
    with pytest.raises(RuntimeError, match=rf"must have fastsoftmax {here} .* got 0\.0\.1 at b"):
        cluster.require_library()
    answers(monkeypatch, a=(None, "No module named 'fastsoftmax'"))
    with pytest.raises(RuntimeError, match="the worker a cannot import fastsoftmax: No module"):
        cluster.require_library()
    answers(monkeypatch, a=(here, "cython/v3"), b=(here, "cython/v4"), c=OSError("gone"))
    with pytest.warns(UserWarning, match="different ways, cython/v3 at a, cython/v4 at b"):
        cluster.require_library()


def worker(memory, status="running", executing=0):
    metrics = {"memory": memory, "task_counts": {"executing": executing}}
    return {"status": status, "memory_limit": 1000 * 10**6, "metrics": metrics}


def test_full_workers_are_given_up_after_a_while():
    full, busy = worker(820 * 10**6, "paused"), worker(10**6, executing=1)
    watch = Watch()
    for now in range(0, 1000, 5):  # some work goes on
        watch.look({"a": full, "b": busy}, now)
    watch.look({"a": full}, 1000)
    watch.look({}, 1010)  # it is started anew
    with pytest.raises(MemoryError, match="one occupies 820 MB of its limit of 1000 MB"):
        watch.look({"a": full}, 1020)
    watch = Watch(fullest_if_stuck({"a": full}))
    watch.look({}, 0)
    with pytest.raises(MemoryError, match="one occupies 820 MB"):
        watch.look({}, 20)


def test_full_workers_free_what_they_do_not_use_once():
    full = {"a": worker(820 * 10**6, "paused")}
    watch = Watch()
    assert watch.look(full, 0)
    assert not watch.look(full, 5)
    assert not watch.look({"a": worker(10**6)}, 10)
    assert watch.look(full, 15)


def test_workers_free_what_they_do_not_use(two_workers, monkeypatch, tmp_path):
    monkeypatch.setattr(_waiting, "free_unused", lambda: (tmp_path / str(os.getpid())).touch())
    two_workers.sync(_waiting._free_unused, two_workers)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_malloc_keeps_is_freed():
    blocks = [bytearray(60_000) for _ in range(2000)]
    few_alive = blocks[1::40]  # malloc alone gives back what is free at the end of its heap
    before = memory_of_this_process()
    del blocks
    _waiting.free_unused()
    assert before - memory_of_this_process() > 60 * 10**6
    assert len(few_alive) == 50


def memory_of_this_process():
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_workers_that_were_ended_for_their_memory_are_not_waited_for():
    watch, ended = Watch(), [{"rss": 380 * 10**6}, {"rss": 390 * 10**6}]
    watch.look({}, 0, ended)
    watch.look({"a": worker(10**6)}, 5, ended)  # one has come back
    watch.look({}, 10, ended)
    with pytest.raises(MemoryError, match=r"2 were ended for it, .* 390 MB\. Raise memory"):
        watch.look({}, 30, ended)


class StandIn:
    """A client whose tasks end as they are told; Dask ends a worker for its memory meanwhile."""

    def __init__(self, ends_with=None, rss=None):
        self._ends_with, self._events = ends_with, [(7.0, {"rss": 10**6})]
        self._rss, self.scheduler = rss, self

    def sync(self, function, *args):
        return asyncio.run(function(*args))

    async def events(self, topic):
        found = list(self._events)
        if self._rss is not None:
            self._events.append((8.0 + len(found), {"rss": self._rss}))
        return found

    async def start(self):
        if self._ends_with is None:
            await asyncio.Event().wait()
        raise self._ends_with

    async def gather(self, futures, asynchronous):
        raise OSError(f"{len(futures)} failed")


def test_a_task_that_needs_too_much_memory_is_told():
    killed = distributed.KilledWorker("inspect-1", None, 3)
    with pytest.raises(MemoryError, match=r"inspect needs more .*: one was ended .* 400 MB"):
        wait_for(client := StandIn(killed, 400 * 10**6), client.start, Watch())
    with pytest.raises(distributed.KilledWorker):  # none was ended for its memory in this fit
        wait_for(client := StandIn(killed), client.start, Watch())


def test_tasks_that_were_done_and_lost_and_fail_are_noticed(monkeypatch):
    monkeypatch.setattr(_waiting, "_LOOK_EVERY", 0.001)
    futures = [SimpleNamespace(status=status) for status in ("pending", "error", "finished")]
    with pytest.raises(OSError, match="1 failed"):
        wait_for(client := StandIn(), client.start, Watch(), futures)


def test_cancelled_work_is_told(two_workers):
    X, y = make_rows(n=100)
    piece = two_workers.submit(lambda: X, pure=False)

    class Cancels(Callback):
        def on_epoch_end(self, epoch, logs=None):
            two_workers.cancel([piece], force=True)

    clf = SoftmaxRegression(client=two_workers)
    with pytest.raises(CancelledError, match=r"client\.restart\(\) .* fit again, or go on from a"):
        clf.fit([piece], [dask.delayed(y)], callbacks=[Cancels()])


def test_a_cluster_without_workers_is_waited_for():
    watch = Watch()
    with pytest.warns(UserWarning, match="the cluster has no workers"):
        watch.look({}, 0)
    watch.look({}, 1000)  # said once


def test_what_fits_in_memory():
    def fits(n_bytes, *workers):
        named = dict(enumerate(workers))
        return _cluster.fits_in_memory(SimpleNamespace(workers=lambda: named), n_bytes * 10**6)

    empty, occupied = worker(0), worker(450 * 10**6)
    assert fits(400, empty)
    assert not fits(401, empty)
    assert fits(149, occupied)  # more would pass the 600 MB at which Dask begins to write to disk
    assert not fits(151, occupied)
    assert fits(10**6, {**empty, "memory_limit": 0})


def test_parameters_are_those_of_the_local_classes():
    for cls in (SoftmaxRegression, MLPClassifier):
        own = {"client", "n_replicas"}
        assert set(cls().get_params()) == set(cls._local_class().get_params()) | own


def test_without_a_cluster(monkeypatch):
    def none():
        raise ValueError("No clients found")

    monkeypatch.setattr(_cluster, "default_client", none)
    with pytest.raises(ValueError, match=r"needs a cluster: pass client=distributed\.Client"):
        SoftmaxRegression().fit(*cut(*make_rows(n=20), n_partitions=2))


@quiet
def test_a_network_is_as_accurate_as_in_one_process(two_workers):
    sklearn = pytest.importorskip("sklearn.datasets")
    X, y = sklearn.load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(X))
    train, test = order[:1200], order[1200:]
    options = {"max_iter": 60, "batch_size": 16, "learning_rate_init": 2e-3, "random_state": 0}
    one = fs.MLPClassifier((64,), **options).fit(X[train], y[train])
    many = MLPClassifier((64,), **options, client=two_workers)
    many.fit(*cut(X[train], y[train], n_partitions=6))
    assert many.n_replicas_ == 2
    assert many.score(X[test], y[test]) == pytest.approx(one.score(X[test], y[test]), abs=0.01)


@quiet
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_validation_and_early_stopping(two_workers, solver):
    X, y = make_rows()
    options = {"solver": solver, "max_iter": 8, "random_state": 0, "client": two_workers}
    X_val, y_val = make_rows(seed=0, n=400)
    lazy = SoftmaxRegression(**options)
    lazy.fit(*cut(X, y), X_val=cut(X_val)[0], y_val=cut(y_val)[0])
    there = SoftmaxRegression(**options).fit(*cut(X, y), X_val=X_val, y_val=y_val)
    assert lazy.history_["val_loss"] == pytest.approx(there.history_["val_loss"], rel=1e-6)
    held_out = SoftmaxRegression(early_stopping=True, **options).fit(*cut(X, y))
    assert len(held_out.history_["val_accuracy"]) >= 1
    labels = np.stack([y % 2, y > 2], axis=1).astype(int)
    model = SoftmaxRegression(**options).fit(*cut(X, labels))
    predicted = model.predict(cut(X)[0])
    assert (predicted.dtype, predicted.shape) == (np.int64, labels.shape)


def test_threads_are_those_of_the_worker(two_workers):
    assert two_workers.submit(threads_inside).result() == 2
    assert fs.get_num_threads() >= 1


def test_a_balanced_class_without_weight(one_worker):
    X, y = make_rows(n_classes=3)
    X_cut, y_cut = cut(X, y)
    weights = y_cut.map_blocks(lambda part: (part != 2) * 1.0, dtype=float)
    words = "'balanced' needs rows of positive sample_weight in each class, got none of class 2$"
    model = SoftmaxRegression(class_weight="balanced", client=one_worker)
    with pytest.raises(ValueError, match=words):
        model.fit(X_cut, y_cut, sample_weight=weights)
    with pytest.raises(ValueError, match=words):
        fs.SoftmaxRegression(class_weight="balanced").fit(X, y, (y != 2) * 1.0)


@quiet
def test_replicas_are_counted_as_they_are(one_worker):
    X_cut, y_cut = cut(*make_rows())
    model = MLPClassifier((3,), max_iter=1, n_replicas=50, client=one_worker).fit(X_cut, y_cut)
    assert model.n_replicas_ == X_cut.numblocks[0] < 50


def test_columns_of_a_frame_are_checked_at_once(one_worker):
    X, y = make_rows()
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    frame = dd.from_pandas(frame.assign(y=y), npartitions=2)
    names = list(frame.columns[:-1])
    model = SoftmaxRegression(max_iter=300, client=one_worker).fit(frame[names], frame["y"])
    for method in METHODS:
        with pytest.raises(ValueError, match=r"(?s)feature names .* missing.*- x0"):
            getattr(model, method)(frame[names[1:]])
        with pytest.raises(ValueError, match=r"(?s)feature names .* unseen .*- y"):
            getattr(model, method)(frame)
    del model.feature_names_in_
    with pytest.raises(ValueError, match="SoftmaxRegression is expecting"):
        model.predict(frame[names[1:]])


@pytest.mark.parametrize("coefs", [None, "x", [None, None], [np.ones((2, 3))]])
@quiet
def test_changed_weights_are_refused_before_any_task(one_worker, coefs):
    X, y = make_rows()
    X_cut, y_cut = cut(X, y)
    model = MLPClassifier((3,), max_iter=1, client=one_worker).fit(X_cut, y_cut)
    model.coefs_ = coefs
    calls = [lambda name=name: getattr(model, name)(X_cut) for name in METHODS]
    calls += [lambda: model.evaluate(X_cut, y_cut), lambda: model.calibrate(X_cut, y_cut)]
    for call in calls:
        with pytest.raises(ValueError, match="coefs_"):
            call()


def test_a_column_of_labels_is_told_once():
    X, y = make_rows()
    X_cut, y_cut = cut(X, y)
    frame = dd.from_pandas(pd.DataFrame(X).add_prefix("x").assign(y=y), npartitions=3)
    cases = [(X_cut, y_cut, y_cut[:, None]), (frame.drop(columns="y"), frame["y"], frame[["y"]])]
    options = {"processes": False, "n_workers": 1, "dashboard_address": None}
    with distributed.Client(**options, set_as_default=False) as client:
        model = SoftmaxRegression(max_iter=300, client=client)
        for rows, labels, column in cases:
            coef = model.fit(rows, labels).coef_
            for call in (model.fit, model.score):
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always")
                    call(rows, column)
                found = [str(w.message) for w in told if "column-vector" in str(w.message)]
                assert len(found) == 1
            np.testing.assert_array_equal(model.coef_, coef)
