"""Fitted estimators for other runtimes: ONNX."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from ._version import __version__

if TYPE_CHECKING:
    import onnx

    from .estimators import MLPClassifier, SoftmaxRegression

OPSET = 13


def _onnx():
    try:
        import onnx
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "onnx":
            message = 'exporting to ONNX needs onnx: pip install "fastsoftmax[onnx]"'
        else:
            message = f"exporting to ONNX needs onnx, which is installed and fails to load: {error}"
        raise ImportError(message, name="onnx") from error
    return onnx


def to_onnx(
    estimator: SoftmaxRegression | MLPClassifier, path: str | os.PathLike[str] | None = None
) -> onnx.ModelProto:
    """Return a fitted estimator as an ONNX model of Gemm, Relu and Softmax (or Sigmoid).

    Parameters
    ----------
    estimator : SoftmaxRegression or MLPClassifier
        Fitted; `input_scale_` and `temperature_` become part of the model.
    path : path, optional
        Where to save it, too.

    Returns
    -------
    onnx.ModelProto
        Input "X": (n_rows, n_features) in the dtype that the estimator was fitted on. Outputs:
        "logits", and "probabilities" in the order of `classes_`, which the model's metadata lists.

    Raises
    ------
    ImportError
        If onnx is not installed.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If a fitted attribute has been changed to what does not fit the others.

    Notes
    -----
    Opset 13. float32 and float64 as the estimator computes.
    """
    from sklearn.utils.validation import check_is_fitted

    from .estimators._checks import fitted_network

    onnx = _onnx()
    check_is_fitted(estimator, "classes_")
    network = fitted_network(estimator, finite=True)
    graph = _Graph(onnx, network.dtype)
    logits = _layers(graph, estimator, network)
    _probabilities(graph, estimator, logits)
    model = graph.model(estimator)
    onnx.checker.check_model(model)
    if path is not None:
        onnx.save_model(model, os.fspath(path))
    return model


class _Graph:
    """Nodes and constants of an ONNX graph as it grows."""

    def __init__(self, onnx, dtype):
        self.onnx, self.dtype = onnx, np.dtype(dtype)
        self.nodes, self.constants = [], []

    def constant(self, name, value):
        array = np.ascontiguousarray(value, dtype=self.dtype)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], **attributes))
        return output

    def element_type(self, dtype):
        return self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def model(self, estimator):
        helper = self.onnx.helper
        n_logits = estimator._network.intercepts[-1].shape[0]
        n_columns = 2 if estimator._is_binary else n_logits
        real = self.element_type(self.dtype)
        source = self.element_type(np.uint8) if estimator._fitted_on_uint8 else real
        inputs = [helper.make_tensor_value_info("X", source, ["n_rows", estimator.n_features_in_])]
        outputs = [
            helper.make_tensor_value_info("logits", real, ["n_rows", n_logits]),
            helper.make_tensor_value_info("probabilities", real, ["n_rows", n_columns]),
        ]
        graph = helper.make_graph(
            self.nodes, type(estimator).__name__, inputs, outputs, self.constants
        )
        model = helper.make_model(
            graph,
            producer_name="fastsoftmax",
            producer_version=__version__,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=8,
        )
        helper.set_model_props(model, {"classes": repr(estimator.classes_.tolist())})
        return model


def _layers(graph, estimator, network):
    """Append the layers; return the name of the logits."""
    x = "X"
    if estimator._fitted_on_uint8:
        x = graph.node("Cast", [x], "X_real", to=graph.element_type(graph.dtype))
    if estimator.input_scale_ != 1:
        scale = graph.constant("input_scale", estimator.input_scale_)
        x = graph.node("Mul", [x, scale], "X_scaled")
    last = len(network.coefs) - 1
    for i, (coef, intercept) in enumerate(zip(network.coefs, network.intercepts, strict=True)):
        weights = [graph.constant(f"coef_{i}", coef), graph.constant(f"intercept_{i}", intercept)]
        x = graph.node("Gemm", [x, *weights], "logits" if i == last else f"layer_{i}")
        if i < last:
            x = graph.node("Relu", [x], f"relu_{i}")
    return x


def _probabilities(graph, estimator, logits):
    if estimator.temperature_ != 1:
        divisor = graph.constant("temperature", estimator.temperature_)
        logits = graph.node("Div", [logits, divisor], "tempered_logits")
    if not estimator._labels.logistic:
        graph.node("Softmax", [logits], "probabilities", axis=1)
        return
    if estimator._is_binary:
        opposite = graph.node("Neg", [logits], "opposite_logits")
        logits = graph.node("Concat", [opposite, logits], "both_logits", axis=1)
    graph.node("Sigmoid", [logits], "probabilities")
