"""Errors about targets that say what was probably meant."""

import inspect
import sys

import numpy as np
import pytest

import fastsoftmax as fs


@pytest.mark.parametrize("function", [fs.cross_entropy, fs.cross_entropy_with_grad])
@pytest.mark.parametrize(
    ("logits", "targets", "hint"),
    [
        (np.zeros((2, 3, 4, 5)), np.zeros((2, 4, 5), int), "that is the shape for axis=1: if"),
        (np.zeros((2, 3, 2)), np.zeros((3, 2), int), "for axis=0"),
        (np.zeros((8, 3)), np.zeros((8, 1), int), r"as in targets\[..., 0\]"),
        (np.zeros(8, int), np.zeros((8, 3)), "are logits and targets swapped"),
        (np.zeros((2, 4, 5), int), np.zeros((2, 3, 4, 5)), "are logits and targets swapped"),
        (np.zeros((8, 1)), np.zeros((8, 3)), "are logits and targets swapped"),
        (np.zeros((8, 3)), np.eye(8, 3, dtype=int), r"targets.argmax\(axis=1\), or targets.astype"),
        (np.zeros((8, 3)), np.zeros(7, int), r"got \(7,\)$"),
    ],
)
def test_shapes_of_targets(function, logits, targets, hint):
    with pytest.raises(ValueError, match=hint):
        function(logits, targets)


def test_to_onnx_without_onnx(monkeypatch):
    pytest.importorskip("sklearn")
    from fastsoftmax.export import to_onnx

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'needs onnx: pip install "fastsoftmax\[onnx\]"'):
        to_onnx(fs.SoftmaxRegression())


LINEAR = [
    ("epochs", "use max_iter$"),
    ("iterations", "use max_iter$"),
    ("penalty", "use C and l1_ratio$"),
    ("alpha", "use C, the inverse"),
    ("l2", "use C, the inverse"),
    ("weight_decay", "use C, the inverse"),
    ("dim", "classes along the last$"),
    ("callbacks", "it is a parameter of fit$"),
    ("lerning_rate", "use learning_rate$"),
    ("nonsense", "argument 'nonsense'$"),
]
NETWORK = [
    ("epochs", "use max_iter$"),
    ("penalty", "use alpha$"),
    ("C", "use alpha$"),
    ("l2", "use alpha$"),
    ("weight_decay", "use alpha$"),
    ("hidden_layers", "use hidden_layer_sizes$"),
]
FIT = [
    ("validation_data", "use X_val and y_val$"),
    ("eval_set", "use X_val and y_val$"),
    ("x_val", "use X_val$"),
    ("sample_weights", "use sample_weight$"),
    ("epochs", "use max_iter, a parameter of {name}$"),
    ("batch_size", "it is a parameter of {name}$"),
    ("verbose", "it is a parameter of {name}$"),
    ("nonsense", "argument 'nonsense'$"),
]


def estimators(where):
    """Return the two classes of one machine, or those for Dask."""
    pytest.importorskip("sklearn")
    if where == "local":
        return fs.SoftmaxRegression, fs.MLPClassifier
    pytest.importorskip("distributed")
    module = pytest.importorskip("fastsoftmax.dask")
    return module.SoftmaxRegression, module.MLPClassifier


@pytest.mark.parametrize("where", ["local", "dask"])
def test_parameters_under_other_names(where):
    linear, network = estimators(where)
    for estimator, cases in ((linear, LINEAR), (network, NETWORK)):
        for name, hint in cases:
            words = f"^{estimator.__name__} got an unexpected keyword argument '{name}'"
            with pytest.raises(TypeError, match=words) as raised:
                estimator(**{name: 1})
            assert raised.match(hint)


@pytest.mark.parametrize("where", ["local", "dask"])
def test_parameters_of_fit_under_other_names(where):
    for estimator in estimators(where):
        name_of_class = estimator.__name__
        for name, hint in FIT:
            words = f"^{name_of_class}.fit got an unexpected keyword argument '{name}'"
            with pytest.raises(TypeError, match=words) as raised:
                estimator().fit([[0.0], [1.0]], [0, 1], **{name: 1})
            assert raised.match(hint.format(name=name_of_class))
        with pytest.raises(TypeError, match=f"^{name_of_class}.evaluate got .*: use top_k$"):
            estimator().evaluate([[0.0], [1.0]], [0, 1], topk=1)
        with pytest.raises(ValueError, match=r"Valid parameters are: .* 'epochs': use max_iter$"):
            estimator().set_params(epochs=3)
        with pytest.raises(ValueError, match=r"Valid parameters are: .*\]\.$"):
            estimator().set_params(nonsense=3)


@pytest.mark.parametrize("name", fs.functional.__all__)
def test_dim_is_called_axis(implementation, name):
    function = getattr(fs, name)
    parameters = inspect.signature(function).parameters
    if "axis" not in parameters:
        pytest.skip("has no axis")
    arrays = [np.ones((2, 2))] * sum(one.default is one.empty for one in parameters.values())
    for value in (1, None):
        with pytest.raises(TypeError, match=rf"{name}\(\) got .* 'dim': use axis"):
            function(*arrays, dim=value)


def test_swapped_binary_targets(implementation):
    labels, logits = [0.0, 1.0, 1.0], [3.0, -2.0, 0.5]
    with pytest.raises(ValueError, match=r"got 3\.0 at position 0; are logits and targets swapped"):
        fs.binary_cross_entropy_with_logits(labels, logits)
    with pytest.raises(ValueError, match=r"got 3\.0 at position 0$"):
        fs.binary_cross_entropy_with_logits([0.0, 1.0, 2.0], logits)
