"""The cross-entropy and softmax with each option on, beside the same without: what an option costs."""

import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax._measuring.operations import make_inputs

pytestmark = pytest.mark.benchmark(max_time=0.5, min_rounds=5, warmup=False)

SHAPES = ((65536, 10), (8192, 1000), (512, 32000))
CHECKED_ROWS = 64  # when nothing is timed


def options_of(name, shape, rng):
    """Return the keywords of one option."""
    n_rows, n_classes = shape
    return {
        "none": {},
        "weight": {"weight": rng.uniform(0.5, 2, n_classes)},
        "sample_weight": {"sample_weight": rng.uniform(0.5, 2, n_rows)},
        "ignore_index": {"ignore_index": 0},
        "label_smoothing": {"label_smoothing": 0.1},
        "z_loss": {"z_loss": 1e-4},
        "temperature": {"temperature": 2.0},
        "softcap": {"softcap": 30.0},
        "probabilities": {},
    }[name]


NAMES = (
    "none", "weight", "sample_weight", "ignore_index", "label_smoothing", "z_loss", "temperature", "softcap",
    "probabilities",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_cross_entropy_with_grad(benchmark, shape, name):
    if benchmark.disabled:
        shape = (CHECKED_ROWS, shape[1])
    rng = np.random.default_rng(1)
    logits, targets = make_inputs(shape)
    options = options_of(name, shape, rng)
    if name == "probabilities":
        targets = fs.softmax(rng.standard_normal(shape, dtype=np.float32))
    out = np.empty_like(logits)
    _, grad = fs.cross_entropy_with_grad(logits, targets, out=out, **options)
    with fs.use_backend("numpy"):
        few = slice(0, 16)
        kept = {**options, "reduction": "sum"}
        if "sample_weight" in kept:
            kept["sample_weight"] = kept["sample_weight"][few]
        _, want = fs.cross_entropy_with_grad(logits[few], targets[few], **kept)
    scale = np.abs(want).max() / max(np.abs(grad[few]).max(), np.finfo(np.float32).tiny)
    np.testing.assert_allclose(grad[few] * scale, want, rtol=1e-3, atol=1e-4)
    benchmark.group = f"cross_entropy_with_grad {shape[0]}x{shape[1]} by option"
    benchmark.extra_info.update(contender="fastsoftmax" if name == "none" else name)
    benchmark(lambda: fs.cross_entropy_with_grad(logits, targets, out=out, **options))


@pytest.mark.parametrize("name", ["none", "temperature", "where"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_softmax(benchmark, shape, name):
    if benchmark.disabled:
        shape = (CHECKED_ROWS, shape[1])
    logits, _ = make_inputs(shape)
    mask = logits > -1
    mask[:, 0] = True  # a row of nothing has no probabilities
    options = {"temperature": {"temperature": 2.0}, "where": {"where": mask}}.get(name, {})
    out = np.empty_like(logits)
    fs.softmax(logits, out=out, **options)
    np.testing.assert_allclose(out.sum(axis=1, dtype=float), 1, rtol=1e-5)
    benchmark.group = f"softmax {shape[0]}x{shape[1]} by option"
    benchmark.extra_info.update(contender="fastsoftmax" if name == "none" else name)
    benchmark(lambda: fs.softmax(logits, out=out, **options))
