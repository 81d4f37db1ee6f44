"""Every contender: those of `fastsoftmax bench`, PyTorch as its users set it up, JAX, ONNX Runtime and TensorFlow.

Contenders are written as in `fastsoftmax._measuring.contenders`. Those with threads of their own live in processes of
their own, for idle threads that spin, allocators and environment variables belong to a process.
"""

import functools
import importlib
import os
from functools import partial

import numpy as np

import fastsoftmax as fs
from fastsoftmax._measuring import contenders
from fastsoftmax._measuring.beside_peers import Subject
from fastsoftmax._measuring.contenders import (
    FastSoftmax,
    NumPy,
    OneThread,
    PyTorch,
    ScikitLearn,
    SciPy,
)

from .workers import Worker, WorkerError

HUGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}


class PyTorchHugePages(PyTorch):
    """PyTorch whose allocator asks for huge pages: large fresh results cost fewer page faults."""

    name = "PyTorch, huge pages"
    environment = HUGE_PAGES


class PyTorchCompiled(PyTorch):
    """PyTorch under torch.compile, gradients by autograd through the compiled loss."""

    name = "PyTorch, compiled"

    def __init__(self):
        super().__init__()
        self._torch._dynamo.config.recompile_limit = 64  # one for each shape
        compiled = partial(self._torch.compile, dynamic=False)
        softmax, log_softmax, cross_entropy = self._softmax, self._log_softmax, self._cross_entropy
        self._softmax = compiled(lambda x, axis: softmax(x, axis))
        self._log_softmax = compiled(lambda x, axis: log_softmax(x, axis))
        self._cross_entropy = compiled(
            lambda x, y, reduction="mean": cross_entropy(x, y, reduction=reduction)
        )


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

    def _call(self, function, *arrays):
        arrays = [self._jax.device_put(array) for array in arrays]
        block_until_ready = self._jax.block_until_ready
        return lambda: block_until_ready(function(*arrays))

    def softmax(self, x, y):
        return self._call(self._softmax, x)

    def log_softmax(self, x, y):
        return self._call(self._log_softmax, x)

    def losses(self, x, y):
        return self._call(self._losses, x, y)

    def cross_entropy(self, x, y):
        return self._call(self._mean, x, y)

    def cross_entropy_with_grad(self, x, y):
        return self._call(self._mean_with_grad, x, y)


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
        options.intra_op_num_threads = fs.get_num_threads()
        # idle threads that spin would slow whoever comes next
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return self._runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def _call(self, operator, inputs, **attributes):
        session = self._session(operator, inputs["x"].dtype, tuple(attributes.items()))
        return lambda: session.run(None, inputs)[0]

    def softmax(self, x, y):
        return self._call("Softmax", {"x": x}, axis=1)

    def log_softmax(self, x, y):
        return self._call("LogSoftmax", {"x": x}, axis=1)

    def losses(self, x, y):
        return self._call("SoftmaxCrossEntropyLoss", {"x": x, "y": y}, reduction="none")

    def cross_entropy(self, x, y):
        return self._call("SoftmaxCrossEntropyLoss", {"x": x, "y": y}, reduction="mean")


class TensorFlow:
    """tf.nn, as functions that are traced once."""

    name = "TensorFlow"
    distribution = "tensorflow"

    def __init__(self):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        self._tf = tf = importlib.import_module("tensorflow")
        tf.config.threading.set_intra_op_parallelism_threads(fs.get_num_threads())
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

    def _call(self, function, *arrays):
        return partial(function, *map(self._tf.constant, arrays))

    def softmax(self, x, y):
        return self._call(self._tf.nn.softmax, x)

    def log_softmax(self, x, y):
        return self._call(self._tf.nn.log_softmax, x)

    def losses(self, x, y):
        return self._call(self._losses, x, y)

    def cross_entropy(self, x, y):
        return self._call(self._mean, x, y)

    def cross_entropy_with_grad(self, x, y):
        return self._call(self._mean_with_grad, x, y)


HERE = (FastSoftmax, OneThread, NumPy, SciPy, ScikitLearn)
APART = (PyTorch, PyTorchHugePages, PyTorchCompiled, Jax, OnnxRuntime, TensorFlow)
IN_ONE_PROCESS = (FastSoftmax, NumPy, SciPy, PyTorch, ScikitLearn, Jax, OnnxRuntime, TensorFlow)
"""For the suite under pytest-benchmark, which measures one after the other."""


class SubjectApart:
    """A `Subject` in a process of its own."""

    def __init__(self, kind):
        self.name = kind.name
        self._kind = kind
        self._worker = Worker(make_subject, kind, environment=getattr(kind, "environment", None))
        self.pid = self._worker.pid

    def version(self):
        return contenders.version(self._kind.distribution)

    def offers(self, operation):
        return hasattr(self._kind, operation)

    def result(self, operation, shape, dtype):
        return self._worker.ask("result", operation, shape, dtype)

    def prepare(self, operation, shape, dtype):
        self._worker.ask("prepare", operation, shape, dtype)

    def turn(self):
        return self._worker.ask("turn")

    def close(self):
        self._worker.close()


def make_subject(kind):
    return Subject(kind())


def start(names=None):
    """
    Start every contender that is installed, or those that are named.

    Returns
    -------
    subjects : list
        Ours first.
    absent : dict
        Why the others are missing, by name.
    """
    here = [kind for kind in HERE if names is None or kind.name in names or kind in HERE[:2]]
    present, absent = contenders.installed(here)
    subjects = [Subject(contender) for contender in present]
    for kind in APART:
        if names is not None and kind.name not in names:
            continue
        try:
            subjects.append(SubjectApart(kind))
        except (ImportError, AttributeError, RuntimeError, WorkerError) as error:
            absent[kind.name] = contenders.reason(kind.distribution, error)
    return subjects, absent
