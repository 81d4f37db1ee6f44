"""Every form of a call beside PyTorch's for the same form: `python bench/forms.py [rows classes]`.

Our microseconds, PyTorch's, and the ratio with its spread: medians of turns that alternate. Results are compared
before they are timed.
"""

import argparse
import statistics
import timeit

import numpy as np
import torch
import torch.nn.functional as F

import fastsoftmax as fs

TURNS = 15
SECONDS_A_TURN = 2e-3


def forms(n_rows, n_classes):
    """Yield (name, our call, PyTorch's call)."""
    rng = np.random.default_rng(0)
    x, q = rng.standard_normal((2, n_rows, n_classes), dtype=np.float32)
    y = rng.integers(0, n_classes, n_rows)
    ignoring = np.where(np.arange(n_rows) % 7, y, -100)
    weight, sample_weight = rng.random(n_classes), rng.random(n_rows)
    p, log_p, mask = fs.softmax(x), fs.log_softmax(x), rng.random(x.shape) < 0.9
    mask[:, 0] = True
    out, fortran, double, half = (
        np.empty_like(x),
        np.asfortranarray(x),
        x.astype("d"),
        x.astype("e"),
    )
    as_tensor = torch.from_numpy
    X, Q, Y, P, LP = map(as_tensor, (x, q, y, p, log_p))
    W, SW = (as_tensor(w.astype(np.float32)) for w in (weight, sample_weight))

    def gradient():
        leaf = X.detach().requires_grad_()
        loss = F.cross_entropy(leaf, Y)
        loss.backward()
        return loss.detach(), leaf.grad

    yield "softmax", lambda: fs.softmax(x), lambda: torch.softmax(X, 1)
    yield "softmax, axis=0", lambda: fs.softmax(x, 0), lambda: torch.softmax(X, 0)
    T = as_tensor(fortran)
    yield "softmax, Fortran order", lambda: fs.softmax(fortran), lambda: torch.softmax(T, 1)
    yield "softmax, out=", lambda: fs.softmax(x, out=out), lambda: torch.softmax(X, 1)
    D, H, M = as_tensor(double), as_tensor(half), as_tensor(~mask)
    yield "softmax, float64", lambda: fs.softmax(double), lambda: torch.softmax(D, 1)
    yield "softmax, float16", lambda: fs.softmax(half), lambda: torch.softmax(H, 1)
    yield (
        "softmax, temperature",
        lambda: fs.softmax(x, temperature=2),
        lambda: torch.softmax(X / 2, 1),
    )
    yield (
        "softmax, where=",
        lambda: fs.softmax(x, where=mask),
        lambda: torch.softmax(X.masked_fill(M, -torch.inf), 1),
    )
    yield "log_softmax", lambda: fs.log_softmax(x), lambda: torch.log_softmax(X, 1)
    yield "logsumexp", lambda: fs.logsumexp(x), lambda: torch.logsumexp(X, 1)
    yield "sigmoid", lambda: fs.sigmoid(x), lambda: torch.sigmoid(X)
    y32 = y.astype(np.int32)
    yield "cross_entropy", lambda: fs.cross_entropy(x, y), lambda: F.cross_entropy(X, Y)
    yield "int32 targets", lambda: fs.cross_entropy(x, y32), lambda: F.cross_entropy(X, Y)
    I = as_tensor(ignoring)  # noqa: E741
    yield (
        "ignore_index",
        lambda: fs.cross_entropy(x, ignoring, ignore_index=-100),
        lambda: F.cross_entropy(X, I),
    )
    yield (
        "weight",
        lambda: fs.cross_entropy(x, y, weight=weight),
        lambda: F.cross_entropy(X, Y, weight=W),
    )
    yield (
        "label_smoothing",
        lambda: fs.cross_entropy(x, y, label_smoothing=0.1),
        lambda: F.cross_entropy(X, Y, label_smoothing=0.1),
    )
    for reduction in ("sum", "none"):
        yield (
            f'reduction="{reduction}"',
            lambda kind=reduction: fs.cross_entropy(x, y, reduction=kind),
            lambda kind=reduction: F.cross_entropy(X, Y, reduction=kind),
        )
    yield (
        "sample_weight",
        lambda: fs.cross_entropy(x, y, sample_weight=sample_weight, reduction="sum"),
        lambda: (F.cross_entropy(X, Y, reduction="none") * SW).sum(),
    )
    yield "probabilities", lambda: fs.cross_entropy(x, p), lambda: F.cross_entropy(X, P)
    yield (
        "softcap",
        lambda: fs.cross_entropy(x, y, softcap=30.0),
        lambda: F.cross_entropy(30 * torch.tanh(X / 30), Y),
    )
    yield "with gradient", lambda: fs.cross_entropy_with_grad(x, y), gradient
    yield (
        "softmax_backward",
        lambda: fs.softmax_backward(q, p),
        lambda: torch._softmax_backward_data(Q, P, 1, torch.float32),
    )
    yield (
        "log_softmax_backward",
        lambda: fs.log_softmax_backward(q, log_p),
        lambda: torch._log_softmax_backward_data(Q, LP, 1, torch.float32),
    )
    yield (
        "binary loss",
        lambda: fs.binary_cross_entropy_with_logits(x, p),
        lambda: F.binary_cross_entropy_with_logits(X, P),
    )
    yield (
        "entropy",
        lambda: fs.entropy_with_logits(x),
        lambda: -(torch.softmax(X, 1) * torch.log_softmax(X, 1)).sum(1).mean(),
    )
    yield (
        "divergence",
        lambda: fs.kl_div_with_logits(x, q),
        lambda: F.kl_div(
            torch.log_softmax(Q, 1), torch.log_softmax(X, 1), log_target=True, reduction="batchmean"
        ),
    )
    k = min(5, n_classes)
    yield (
        f"top {k}",
        lambda: fs.top_k_softmax(x, k),
        lambda: tuple(torch.topk(torch.softmax(X, 1), k)),
    )


def compare(ours, theirs):
    """Raise unless both calls give the same numbers."""
    for one, other in zip(_parts(ours()), _parts(theirs()), strict=True):
        np.testing.assert_allclose(one, np.asarray(other), rtol=2e-3, atol=1e-5)


def _parts(result):
    return result if isinstance(result, tuple) else (result,)


def turns(*calls):
    """Return the seconds of each call in turns that alternate."""
    counts = []
    for call in calls:
        once = timeit.timeit(call, number=20) / 20
        counts.append(max(1, int(SECONDS_A_TURN / once)))
    taken = [
        [timeit.timeit(c, number=n) / n for c, n in zip(calls, counts, strict=True)]
        for _ in range(TURNS)
    ]
    return list(zip(*taken, strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", type=int, nargs="?", default=32)
    parser.add_argument("classes", type=int, nargs="?", default=10)
    options = parser.parse_args()
    torch.set_num_threads(fs.get_num_threads())
    print(
        f"{options.rows} x {options.classes}, float32, {fs.get_num_threads()} threads, PyTorch {torch.__version__}"
    )
    print(f"{'form':24}{'ours us':>9}{'PyTorch us':>12}   ratio (spread)")
    for name, ours, theirs in forms(options.rows, options.classes):
        compare(ours, theirs)
        mine, peers = turns(ours, theirs)
        ratios = [a / b for a, b in zip(mine, peers, strict=True)]
        print(
            f"{name:24}{statistics.median(mine) * 1e6:9.2f}{statistics.median(peers) * 1e6:12.2f}"
            f"   {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
