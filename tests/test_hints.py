"""Errors about targets that say what was probably meant."""

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
