"""Both sides of the tables in docs/coming_from.md."""

import inspect
import warnings

import numpy as np
import pytest

import fastsoftmax as fs

CLOSE = 1e-6
"""Relative; only whether two definitions are the same is asked here."""


@pytest.fixture
def x(rng):
    return rng.standard_normal((6, 5)) * 3


@pytest.fixture
def z(rng):
    return rng.standard_normal((6, 5)) * 3


@pytest.fixture
def y():
    return np.array([0, 1, 2, 3, 4, 0])


@pytest.fixture
def p(rng):
    return rng.random((6, 5))


def same(got, want):
    if hasattr(want, "detach"):
        want = want.detach().numpy()
    np.testing.assert_allclose(got, want, rtol=CLOSE, atol=CLOSE)


class TestPyTorch:
    """PyTorch."""

    pytestmark = pytest.mark.peer

    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch", reason="PyTorch is not installed")

    @pytest.fixture
    def F(self, torch):
        return torch.nn.functional

    def test_ignored_targets(self, torch, F, x, y):
        y[5] = -100
        x[5] = np.nan
        leaf = torch.tensor(x, requires_grad=True)
        want = F.cross_entropy(leaf, torch.tensor(y))
        want.backward()
        with pytest.raises(IndexError, match="ignore_index=-100"):
            fs.cross_entropy(x, y)
        loss, grad = fs.cross_entropy_with_grad(x, y, ignore_index=-100)
        same(loss, want)
        assert torch.isnan(leaf.grad[5]).all()
        assert (grad[5] == 0).all()
        same(grad[:5], leaf.grad[:5])

    def test_axes(self, torch, F, rng):
        x, y = rng.standard_normal((2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
        same(fs.cross_entropy(x, y, axis=1), F.cross_entropy(torch.tensor(x), torch.tensor(y)))
        with pytest.raises(ValueError, match="targets"):
            fs.cross_entropy(x, y)
        with pytest.warns(UserWarning, match="Implicit dimension choice"):
            F.softmax(torch.tensor(x[0, 0]))

    def test_gradient_under_none(self, torch, F, x, y):
        leaf = torch.tensor(x, requires_grad=True)
        F.cross_entropy(leaf, torch.tensor(y), reduction="sum").backward()
        same(fs.cross_entropy_with_grad(x, y, reduction="none")[1], leaf.grad)

    def test_dtypes(self, torch, F, x, y):
        with pytest.raises(RuntimeError, match="Long or Byte"):
            F.cross_entropy(torch.tensor(x), torch.tensor(y.astype(np.int32)))
        want = F.cross_entropy(torch.tensor(x), torch.tensor(y.astype(np.uint8)))
        for dtype in "bBhHiIlL":
            same(fs.cross_entropy(x, y.astype(dtype)), want)
        with pytest.raises(RuntimeError):
            torch.softmax(torch.tensor([1, 2]), -1)
        assert fs.softmax([1, 2]).dtype == np.float64
        assert fs.softmax(np.float16([1, 2])).dtype == np.float16
        assert fs.cross_entropy(np.float16([[1, 2]]), [0]).dtype == np.float32
        with pytest.raises(TypeError, match="BFloat16"):
            fs.softmax(torch.tensor([1.0, 2.0], dtype=torch.bfloat16))
        with pytest.raises(RuntimeError, match="detach"):
            fs.softmax(torch.tensor(x, requires_grad=True))
        assert type(fs.softmax(torch.tensor(x))) is np.ndarray

    def test_infinities(self, torch, F):
        nothing = torch.tensor([-np.inf, -np.inf])
        assert torch.isnan(torch.softmax(nothing, -1)).all()
        assert np.isnan(fs.softmax(nothing)).all()
        np.testing.assert_array_equal(fs.softmax([1.0, 2.0], where=[False, False]), [0, 0])
        logits, probs = torch.tensor([[0.0, -np.inf]]), torch.tensor([[1.0, 0.0]])
        assert torch.isnan(F.cross_entropy(logits, probs))
        assert fs.cross_entropy(logits, probs) == 0

    def test_small_results(self, torch):
        pair = np.float32([0, -100])
        assert 0 < torch.softmax(torch.tensor(pair), -1)[1] < 1e-43
        assert fs.softmax(pair)[1] == 0

    def test_what_is_the_same(self, torch, F, x, y, p):
        weight = np.arange(1, 6.0)
        for targets in (y, p):
            for options in ({}, {"weight": weight}, {"weight": weight, "label_smoothing": 0.1}):
                peer = {k: torch.tensor(v) if k == "weight" else v for k, v in options.items()}
                want = F.cross_entropy(torch.tensor(x), torch.tensor(targets), **peer)
                same(fs.cross_entropy(x, targets, **options), want)
        assert torch.isnan(F.cross_entropy(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)))
        assert np.isnan(fs.cross_entropy(np.zeros((0, 3)), np.zeros(0, int)))

    def test_map(self, torch, F, x, z, y):
        a, b, t = torch.tensor(x), torch.tensor(z), torch.tensor(y)
        same(fs.softmax(x, 0), torch.softmax(a, 0))
        same(fs.softmax(x, temperature=0.3), torch.softmax(a / 0.3, -1))
        same(fs.log_softmax(x, 0), torch.log_softmax(a, 0))
        same(fs.logsumexp(x, 0), torch.logsumexp(a, 0))
        same(fs.sigmoid(x), torch.sigmoid(a))
        values, classes = fs.top_k_softmax(x, 2)
        want = torch.topk(torch.softmax(a, -1), 2)
        same(values, want.values)
        same(classes, want.indices)
        same(fs.cross_entropy(fs.log_softmax(x), y), F.nll_loss(torch.log_softmax(a, 1), t))
        logs = torch.log_softmax(b, 1), torch.log_softmax(a, 1)
        want = F.kl_div(*logs, reduction="batchmean", log_target=True)
        same(fs.kl_div_with_logits(x, z), want)
        entropy = torch.distributions.Categorical(logits=a).entropy().mean()
        same(fs.entropy_with_logits(x), entropy)
        bias = np.arange(6.0)
        want = F.cross_entropy(a @ b.T + torch.tensor(bias), t)
        same(fs.linear_cross_entropy(x, z, y, linear_bias=bias), want)

    def test_binary(self, torch, F, x, p):
        want = F.binary_cross_entropy_with_logits(torch.tensor(x), torch.tensor(p))
        same(fs.binary_cross_entropy_with_logits(x, p), want)
        F.binary_cross_entropy_with_logits(torch.tensor(x), torch.tensor(p + 2))
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            fs.binary_cross_entropy_with_logits(x, p + 2)
        same(
            fs.binary_cross_entropy_with_logits(x, p > 0.5),
            F.binary_cross_entropy_with_logits(torch.tensor(x), torch.tensor((p > 0.5) * 1.0)),
        )


class TestSciPy:
    """SciPy."""

    @pytest.fixture
    def special(self):
        return pytest.importorskip("scipy.special")

    def test_default_axis(self, special, x):
        assert special.softmax(x).sum() == pytest.approx(1)
        same(fs.softmax(x).sum(axis=-1), np.ones(6))
        same(fs.softmax(x, axis=None), special.softmax(x))
        same(fs.logsumexp(x, axis=None), special.logsumexp(x))

    def test_int8(self, special):
        pair = np.int8([100, -100])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = special.softmax(pair)
        assert got[0] == 0
        assert np.isnan(got[1])
        same(fs.softmax(pair), [1, np.exp(-200.0)])

    @pytest.mark.parametrize("row", [[-np.inf, -np.inf], [np.inf, 0]])
    def test_infinities(self, special, row):
        logits = np.array([row, [0, 0]])
        with pytest.warns(RuntimeWarning):
            want = special.softmax(logits, axis=1)
        np.testing.assert_array_equal(fs.softmax(logits), want)
        np.testing.assert_array_equal(want, [[np.nan, np.nan], [0.5, 0.5]])

    def test_what_is_missing(self, special):
        assert {"b", "return_sign"} <= set(inspect.signature(special.logsumexp).parameters)
        assert not {"b", "return_sign"} & set(inspect.signature(fs.logsumexp).parameters)
        with pytest.raises(TypeError, match="complex"):
            fs.logsumexp([1j])

    def test_map(self, special, x, z, p):
        stats = pytest.importorskip("scipy.stats")
        same(fs.softmax(x, axis=1), special.softmax(x, axis=1))
        same(fs.log_softmax(x, axis=1), special.log_softmax(x, axis=1))
        want = special.logsumexp(x, axis=1, keepdims=True)
        same(fs.logsumexp(x, axis=1, keepdims=True), want)
        same(fs.logsumexp(x + np.log(p), axis=None), special.logsumexp(x, b=p))
        same(fs.sigmoid(x), special.expit(x))
        got = -fs.binary_cross_entropy_with_logits(x, np.ones_like(x), reduction="none")
        same(got, special.log_expit(x))
        probs, others = fs.softmax(x), fs.softmax(z)
        same(fs.entropy_with_logits(x), stats.entropy(probs, axis=1).mean())
        same(fs.entropy_with_logits(x), stats.entropy(7 * probs, axis=1).mean())
        same(fs.kl_div_with_logits(x, z), stats.entropy(probs, others, axis=1).mean())


class TestScikitLearn:
    """scikit-learn."""

    @pytest.fixture
    def sklearn(self):
        return pytest.importorskip("sklearn")

    @pytest.fixture
    def iris(self, sklearn):
        from sklearn.datasets import load_iris

        return load_iris(return_X_y=True)

    def test_parameters(self, sklearn):
        from sklearn.linear_model import LogisticRegression
        from sklearn.neural_network import MLPClassifier

        theirs, ours = MLPClassifier().get_params(), fs.MLPClassifier().get_params()
        names = ("hidden_layer_sizes", "alpha", "epsilon")
        assert [theirs[name] for name in names] == [(100,), 0.0001, 1e-8]
        assert [ours[name] for name in names] == [(128,), 0.0, 1e-7]
        differ = {name for name in set(theirs) & set(ours) if theirs[name] != ours[name]}
        assert differ == set(names)
        missing = {"activation", "shuffle", "power_t", "nesterovs_momentum", "max_fun"}
        assert set(theirs) - set(ours) == missing
        names = set(LogisticRegression().get_params()) - set(fs.SoftmaxRegression().get_params())
        assert names <= {"penalty", "dual", "intercept_scaling", "n_jobs", "multi_class"}
        with pytest.raises(TypeError, match="penalty"):
            fs.SoftmaxRegression(penalty="l2")

    @pytest.mark.parametrize("options", [{}, {"C": 0.1}, {"class_weight": "balanced"}])
    def test_regression(self, iris, options):
        from sklearn.linear_model import LogisticRegression

        options = {**options, "tol": 1e-8, "max_iter": 1000}
        theirs = LogisticRegression(**options).fit(*iris)
        ours = fs.SoftmaxRegression(**options).fit(*iris)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
        assert isinstance(ours.n_iter_, int)
        assert theirs.n_iter_.shape == (1,)
        same(
            fs.SoftmaxRegression.from_sklearn(theirs).predict_proba(iris[0]),
            theirs.predict_proba(iris[0]),
        )

    def test_elastic_net(self, iris):
        from sklearn.linear_model import LogisticRegression

        theirs = LogisticRegression(solver="saga", l1_ratio=0.5, tol=1e-8, max_iter=20_000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs.fit(*iris)
        ours = fs.SoftmaxRegression(l1_ratio=0.5, tol=1e-8, max_iter=5000).fit(*iris)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-3)

    def test_data(self, sklearn):
        from sklearn.linear_model import LogisticRegression

        images = np.arange(60, dtype=np.uint8).reshape(5, 3, 4)
        labels = np.array([0, 1, 0, 1, 2])
        with pytest.raises(ValueError, match="dim"):
            LogisticRegression().fit(images, labels)
        clf = fs.SoftmaxRegression(tol=0.1).fit(images, labels)
        assert clf.input_scale_ == 1 / 255
        assert clf.n_features_in_ == 12
        columns = np.array([[0, 1], [1, 1], [0, 0], [1, 0], [1, 1]])
        flat = images.reshape(5, -1)
        with pytest.raises(ValueError, match="1d"):
            LogisticRegression().fit(flat, columns)
        assert fs.SoftmaxRegression(tol=0.1).fit(flat, columns).predict(flat).shape == (5, 2)

    def test_losses(self, iris, x):
        from sklearn.metrics import log_loss
        from sklearn.utils.extmath import softmax

        assert log_loss([1], [[1.0, 0.0]], labels=[0, 1]) == pytest.approx(36.04, abs=0.01)
        assert fs.cross_entropy([[0.0, -np.inf]], [1]) == np.inf
        clf = fs.SoftmaxRegression(C=0.1, max_iter=500).fit(*iris)
        want = log_loss(iris[1], clf.predict_proba(iris[0]))
        same(fs.cross_entropy(clf.decision_function(iris[0]), iris[1]), want)
        same(fs.softmax(x), softmax(x))

    def test_calibration(self, iris):
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.frozen import FrozenEstimator

        X, y = iris
        clf = fs.SoftmaxRegression(C=0.01).fit(X, y)
        theirs = CalibratedClassifierCV(FrozenEstimator(clf), method="temperature").fit(X, y)
        got = clf.calibrate(X, y).predict_proba(X)
        np.testing.assert_allclose(got, theirs.predict_proba(X), atol=1e-3)


class TestKeras:
    """Keras."""

    pytestmark = pytest.mark.peer

    @pytest.fixture
    def keras(self, monkeypatch):
        pytest.importorskip("torch", reason="PyTorch is not installed")
        monkeypatch.setenv("KERAS_BACKEND", "torch")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pytest.importorskip("keras", reason="Keras is not installed")

    def test_losses(self, keras, x, z, y, p):
        sparse = keras.losses.SparseCategoricalCrossentropy
        same(fs.cross_entropy(x, y), sparse(from_logits=True)(y, x))
        same(fs.cross_entropy(x, y), sparse()(y, fs.softmax(x)))
        y[5] = -1
        want = sparse(from_logits=True, ignore_class=-1)(y, x)
        same(fs.cross_entropy(x, y, ignore_index=-1), want)
        want = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(p, x)
        same(fs.cross_entropy(x, p, label_smoothing=0.1), want)
        want = keras.losses.BinaryCrossentropy(from_logits=True)(p, x)
        same(fs.binary_cross_entropy_with_logits(x, p), want)
        same(fs.kl_div_with_logits(x, z), keras.losses.KLDivergence()(fs.softmax(x), fs.softmax(z)))

    def test_certain_errors(self, keras):
        wrong = np.float32([[1.0, 0.0]])
        loss = keras.losses.SparseCategoricalCrossentropy()(np.array([1]), wrong)
        assert loss.item() == pytest.approx(16.12, abs=0.01)
        assert fs.cross_entropy(np.float32([[1000.0, 0.0]]), [1]) == 1000

    def test_weighted_rows(self, keras, x, y):
        weights = np.array([1.0, 2, 0, 4, 1, 1])
        sparse = keras.losses.SparseCategoricalCrossentropy
        by_rows = sparse(from_logits=True)(y, x, sample_weight=weights)
        same(fs.cross_entropy(x, y, sample_weight=weights, reduction="sum") / 6, by_rows)
        by_weights = sparse(from_logits=True, reduction="mean_with_sample_weight")
        want = by_weights(y, x, sample_weight=weights)
        same(fs.cross_entropy(x, y, sample_weight=weights), want)

    def test_functions(self, keras, x):
        same(fs.softmax(x), keras.ops.softmax(x))
        same(fs.log_softmax(x), keras.ops.log_softmax(x))
        assert keras.ops.logsumexp(x).shape == ()
        assert fs.logsumexp(x).shape == (6,)
        mask = np.array([True, False, True, True, False])
        want = keras.layers.Softmax()(x.astype("f"), mask=np.broadcast_to(mask, x.shape))
        same(fs.softmax(x.astype("f"), where=mask), want)

    def test_constants(self, keras):
        theirs, ours = keras.optimizers.Adam(), fs.MLPClassifier()
        assert (theirs.beta_1, theirs.beta_2) == (ours.beta_1, ours.beta_2)
        assert theirs.epsilon == ours.epsilon
        assert float(theirs.learning_rate) == pytest.approx(ours.learning_rate_init)
