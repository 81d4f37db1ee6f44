"""Fitted estimators for other runtimes: ONNX, alone or as a step of a pipeline that skl2onnx converts."""

from __future__ import annotations

import io
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
        Where to save it, too. The file appears whole or not at all.

    Returns
    -------
    onnx.ModelProto
        Input "X": (n_rows, n_features) in the dtype that the estimator was fitted on. Outputs:
        "label", what `predict` returns; "probabilities" in the order of `classes_`, which the
        model's metadata lists; "logits".

    Raises
    ------
    ImportError
        If onnx is not installed.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If a fitted attribute has been changed to what does not fit the others, or the classes are
        none that ONNX has.
    OSError
        If the file cannot be written.

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
    _label(graph, estimator, logits)
    model = graph.model(estimator)
    onnx.checker.check_model(model)
    if path is not None:
        _save(onnx, model, os.fsdecode(path))
    return model


def _save(onnx, model, path):
    """Write a model, as text where the ending of its name says so; the file appears whole."""
    from .estimators import _files

    ending = os.path.splitext(path)[1]
    form = onnx.serialization.registry.get_format_from_file_extension(ending)
    content = io.BytesIO()
    onnx.save_model(model, content, form)
    _files.replace(path, content.getvalue())


class _Graph:
    """Nodes and constants of an ONNX graph as it grows."""

    def __init__(self, onnx, dtype):
        self.onnx, self.dtype = onnx, np.dtype(dtype)
        self.nodes, self.constants = [], []

    def constant(self, name, value, dtype=None):
        array = np.asarray(value, self.dtype if dtype is None else dtype, order="C")
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], **attributes))
        return output

    def element_type(self, dtype):
        return self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def model(self, estimator):
        from .estimators._checks import n_features_of

        helper = self.onnx.helper
        n_logits = estimator._network.intercepts[-1].shape[0]
        n_columns = 2 if estimator._is_binary else n_logits
        real = self.element_type(self.dtype)
        source = self.element_type(np.uint8) if estimator._fitted_on_uint8 else real
        inputs = [helper.make_tensor_value_info("X", source, ["n_rows", n_features_of(estimator)])]
        outputs = [
            helper.make_tensor_value_info("logits", real, ["n_rows", n_logits]),
            helper.make_tensor_value_info("probabilities", real, ["n_rows", n_columns]),
            helper.make_tensor_value_info("label", *_type_of_label(self, estimator)),
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


def _layers(graph, estimator, network, *, cast=False):
    """Append the layers; return the name of the logits. `cast` makes reals of whatever X is."""
    from .estimators._checks import scale_of

    x = "X"
    if estimator._fitted_on_uint8 or cast:
        x = graph.node("Cast", [x], "X_real", to=graph.element_type(graph.dtype))
    factor = scale_of(estimator, "input_scale_")
    if factor != 1:
        scale = graph.constant("input_scale", factor)
        x = graph.node("Mul", [x, scale], "X_scaled")
    last = len(network.coefs) - 1
    for i, (coef, intercept) in enumerate(zip(network.coefs, network.intercepts, strict=True)):
        weights = [graph.constant(f"coef_{i}", coef), graph.constant(f"intercept_{i}", intercept)]
        x = graph.node("Gemm", [x, *weights], "logits" if i == last else f"layer_{i}")
        if i < last:
            x = graph.node("Relu", [x], f"relu_{i}")
    return x


def _probabilities(graph, estimator, logits):
    from .estimators._checks import scale_of

    temperature = scale_of(estimator, "temperature_")
    if temperature != 1:
        divisor = graph.constant("temperature", temperature)
        logits = graph.node("Div", [logits, divisor], "tempered_logits")
    if not estimator._labels.logistic:
        graph.node("Softmax", [logits], "probabilities", axis=1)
        return
    if estimator._is_binary:
        logits = _of_both_classes(graph, logits, "both_logits")
    graph.node("Sigmoid", [logits], "probabilities")


def _of_both_classes(graph, logits, output):
    opposite = graph.node("Neg", [logits], "opposite_logits")
    return graph.node("Concat", [opposite, logits], output, axis=1)


def _classes(estimator):
    """Return classes_ in a dtype that ONNX has: strings, int64, bool or double."""
    classes = estimator.classes_
    kinds = {"U": object, "O": object, "i": np.int64, "u": np.int64, "b": np.bool_, "f": np.float64}
    found = classes.astype(kinds.get(classes.dtype.kind, object))
    is_text = found.dtype == object
    if not (all(isinstance(c, str) for c in found) if is_text else (found == classes).all()):
        raise ValueError(
            "classes_ must be strings, booleans, or numbers that int64 or double holds, to become "
            f"ONNX labels, got {classes.tolist()!r:.80}"
        )
    return found


def _type_of_label(graph, estimator):
    if estimator._labels.is_multilabel:
        return graph.element_type(np.int64), ["n_rows", len(estimator.classes_)]
    classes = _classes(estimator)
    is_text = classes.dtype == object
    kind = graph.onnx.TensorProto.STRING if is_text else graph.element_type(classes.dtype)
    return kind, ["n_rows"]


def _label(graph, estimator, logits, classes_of=_classes):
    """Append what `predict` does to logits."""
    int64 = graph.element_type(np.int64)
    if estimator._labels.logistic:
        zero = graph.constant("zero", 0)
        above = graph.node("Greater", [logits, zero], "above_zero")
        if estimator._labels.is_multilabel:
            graph.node("Cast", [above], "label", to=int64)
            return
        column = graph.node("Cast", [above], "class_column", to=int64)
        flat = graph.constant("flat", [-1], np.int64)
        number = graph.node("Reshape", [column, flat], "class_number")
    else:
        number = graph.node("ArgMax", [logits], "class_number", axis=1, keepdims=0)
    classes = classes_of(estimator)
    graph.node("Gather", [graph.constant("classes", classes, classes.dtype), number], "label")


def register_skl2onnx() -> None:
    """Teach skl2onnx both estimators, so that `skl2onnx.to_onnx` converts pipelines that end in one.

    They have the outputs of a classifier, labels and probabilities, and its options "zipmap", "nocl"
    and "raw_scores": with it there are logits instead of probabilities, which is what estimators
    over them, such as `CalibratedClassifierCV`, learn from; of two classes they are (-x, x). Floats
    are computed in the dtype of the pipeline's input. Labels that are booleans or whole numbers
    become int64, as those of scikit-learn's classifiers do.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Notes
    -----
    Opset 13 and later. Fit the pipeline first; input of uint8 becomes float32.
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError as error:
        raise ImportError(
            'converting pipelines needs skl2onnx: pip install "fastsoftmax[onnx]" skl2onnx',
            name="skl2onnx",
        ) from error

    from .estimators import MLPClassifier, SoftmaxRegression

    for cls in (SoftmaxRegression, MLPClassifier):
        update_registered_converter(
            cls,
            f"Fastsoftmax{cls.__name__}",
            _output_shapes,
            _convert,
            options={
                "zipmap": [True, False, "columns"],
                "nocl": [True, False],
                "raw_scores": [True, False],
            },
        )


def _output_shapes(operator):
    """Tell skl2onnx the types of a step's labels and probabilities."""
    from skl2onnx.common import data_types

    estimator = operator.raw_operator
    real = data_types.guess_tensor_type(operator.inputs[0].type)
    classes, n = _classes_as_skl2onnx_has_them(estimator), len(estimator.classes_)
    if estimator._labels.is_multilabel:
        label = data_types.Int64TensorType([None, n])
    elif classes.dtype == object:
        label = data_types.StringTensorType([None])
    else:
        label = data_types.guess_data_type(classes)[0][1].__class__([None])
    operator.outputs[0].type = label
    operator.outputs[1].type = type(real)([None, n])


def _classes_as_skl2onnx_has_them(estimator):
    classes = _classes(estimator)
    is_whole = classes.dtype.kind in "bf" and (classes == classes.astype(np.int64)).all()
    return classes.astype(np.int64) if is_whole else classes


def _raw_scores(graph, estimator, logits):
    """Append logits under the name of the output that probabilities have otherwise."""
    if estimator._is_binary:
        _of_both_classes(graph, logits, "probabilities")
    else:
        graph.node("Identity", [logits], "probabilities")


def _convert(scope, operator, container):
    """Write a fitted step into the model that skl2onnx makes."""
    from skl2onnx.common import data_types

    from .estimators._checks import fitted_network

    onnx, estimator = _onnx(), operator.raw_operator
    real = data_types.guess_tensor_type(operator.inputs[0].type)
    is_double = isinstance(real, data_types.DoubleTensorType)
    graph = _Graph(onnx, np.float64 if is_double else np.float32)
    logits = _layers(graph, estimator, fitted_network(estimator, finite=True), cast=True)
    if container.get_options(estimator, {"raw_scores": False})["raw_scores"]:
        _raw_scores(graph, estimator, logits)
    else:
        _probabilities(graph, estimator, logits)
    _label(graph, estimator, logits, _classes_as_skl2onnx_has_them)
    names = {"X": operator.inputs[0].full_name}
    names |= {
        "label": operator.outputs[0].full_name,
        "probabilities": operator.outputs[1].full_name,
    }

    def unique(name):
        if name not in names:
            names[name] = scope.get_unique_variable_name(name)
        return names[name]

    for tensor in graph.constants:
        tensor.name = unique(tensor.name)
        if tensor.data_type == onnx.TensorProto.STRING:
            names_of_classes = list(tensor.string_data)
            container.add_initializer(
                tensor.name, tensor.data_type, [len(names_of_classes)], names_of_classes
            )
        else:
            container.add_initializer(tensor.name, None, None, tensor)
    for node in graph.nodes:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        container.add_node(
            node.op_type,
            [unique(name) for name in node.input],
            [unique(name) for name in node.output],
            op_version=OPSET,
            name=scope.get_unique_operator_name(node.op_type),
            **attributes,
        )
