"""The frameworks that compile or load what is measured: JAX, ONNX Runtime and TensorFlow.

As in _peers.py, a contender turns logits and targets into its own arrays before anything is timed, and
each operation does what a user of that library would write; what is compiled is compiled at the first call.
"""

import functools
import importlib
import os

import numpy as np

import fastsoftmax


class Jax:
    """jax.nn, jitted; the call ends when the result is there."""

    name = "JAX"
    distribution = "jax"

    def __init__(self):
        self._jax = jax = importlib.import_module("jax")
        jax.config.update("jax_enable_x64", True)
        self._softmax = jax.jit(jax.nn.softmax)
        self._log_softmax = jax.jit(jax.nn.log_softmax)
        self._losses = jax.jit(self._losses_of)
        self._mean = jax.jit(lambda x, y: self._losses_of(x, y).mean())
        self._mean_with_grad = jax.jit(jax.value_and_grad(self._mean))

    def _losses_of(self, x, y):
        log_probs = self._jax.nn.log_softmax(x)
        return -self._jax.numpy.take_along_axis(log_probs, y[:, None], 1)[:, 0]

    def arrays(self, logits, targets):
        return self._jax.device_put(logits), self._jax.device_put(targets)

    def softmax(self, x, y):
        return self._softmax(x).block_until_ready()

    def log_softmax(self, x, y):
        return self._log_softmax(x).block_until_ready()

    def losses(self, x, y):
        return self._losses(x, y).block_until_ready()

    def cross_entropy(self, x, y):
        return self._mean(x, y).block_until_ready()

    def cross_entropy_with_grad(self, x, y):
        return self._jax.block_until_ready(self._mean_with_grad(x, y))


class OnnxRuntime:
    """Models of one node each: Softmax, LogSoftmax, SoftmaxCrossEntropyLoss. There are no gradients."""

    name = "ONNX Runtime"
    distribution = "onnxruntime"

    def __init__(self):
        self._runtime = importlib.import_module("onnxruntime")
        self._onnx = importlib.import_module("onnx")
        importlib.import_module("onnx.helper")
        self._session = functools.cache(self._make_session)

    def _make_session(self, operator, dtype, attributes):
        helper, types = self._onnx.helper, self._onnx.TensorProto
        element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        is_loss = operator == "SoftmaxCrossEntropyLoss"
        inputs = [helper.make_tensor_value_info("x", element, ["n", "c"])]
        if is_loss:
            inputs.append(helper.make_tensor_value_info("y", types.INT64, ["n"]))
        node = helper.make_node(operator, [one.name for one in inputs], ["out"], **dict(attributes))
        output = helper.make_tensor_value_info("out", element, None)
        graph = helper.make_graph([node], "one_node", inputs, [output])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = fastsoftmax.get_num_threads()
        # idle threads that spin would slow whoever comes next
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return self._runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def arrays(self, logits, targets):
        return logits, targets

    def softmax(self, x, y):
        return self._session("Softmax", x.dtype, (("axis", 1),)).run(None, {"x": x})[0]

    def log_softmax(self, x, y):
        return self._session("LogSoftmax", x.dtype, (("axis", 1),)).run(None, {"x": x})[0]

    def _loss(self, x, y, reduction):
        session = self._session("SoftmaxCrossEntropyLoss", x.dtype, (("reduction", reduction),))
        return session.run(None, {"x": x, "y": y})[0]

    def losses(self, x, y):
        return self._loss(x, y, "none")

    def cross_entropy(self, x, y):
        return self._loss(x, y, "mean")


class TensorFlow:
    """tf.nn, as functions that are traced once."""

    name = "TensorFlow"
    distribution = "tensorflow"

    def __init__(self):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        self._tf = tf = importlib.import_module("tensorflow")
        tf.config.threading.set_intra_op_parallelism_threads(fastsoftmax.get_num_threads())
        self._losses = tf.function(self._losses_of)
        self._mean = tf.function(self._mean_of)
        self._mean_with_grad = tf.function(self._mean_with_grad_of)

    def _losses_of(self, x, y):
        return self._tf.nn.sparse_softmax_cross_entropy_with_logits(y, x)

    def _mean_of(self, x, y):
        return self._tf.reduce_mean(self._losses_of(x, y))

    def _mean_with_grad_of(self, x, y):
        with self._tf.GradientTape() as tape:
            tape.watch(x)
            loss = self._mean_of(x, y)
        return loss, tape.gradient(loss, x)

    def arrays(self, logits, targets):
        return self._tf.constant(logits), self._tf.constant(targets)

    def softmax(self, x, y):
        return self._tf.nn.softmax(x)

    def log_softmax(self, x, y):
        return self._tf.nn.log_softmax(x)

    def losses(self, x, y):
        return self._losses(x, y)

    def cross_entropy(self, x, y):
        return self._mean(x, y)

    def cross_entropy_with_grad(self, x, y):
        return self._mean_with_grad(x, y)
