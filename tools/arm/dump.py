"""Run operations on random logits of many kinds and save the results: check.py judges them elsewhere."""

import sys

import numpy as np

import fastsoftmax as fs

CLASSES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 97, 100, 129, 256, 400, 1000, 4097)
KINDS = ("normal", "spread", "shifted", "flat", "confident", "wide")


def logits_of(kind, n_rows, n_classes, rng):
    """Return logits of one kind: how they spread decides which terms of a sum count."""
    x = rng.standard_normal((n_rows, n_classes)) * (30 if kind == "wide" else 3)
    if kind == "spread":
        x = rng.uniform(-20, 20, x.shape)
    if kind == "shifted":
        x += 1000 * rng.choice([-1, 1], size=(n_rows, 1))
    if kind == "flat":
        x[...] = rng.standard_normal()
    if kind == "confident":
        x[np.arange(n_rows), rng.integers(0, n_classes, n_rows)] += rng.uniform(10, 60, n_rows)
    return x


def main():
    """Write one archive with an entry for each dtype, kind, number of classes and memory order."""
    rng = np.random.default_rng(5)
    saved = {}
    for dtype in "fd":
        for kind in KINDS:
            for n_classes in CLASSES:
                n_rows = max(2, min(60, 20000 // n_classes)) + 1
                x = logits_of(kind, n_rows, n_classes, rng).astype(dtype)
                y = x.argmax(1) if kind == "confident" else rng.integers(0, n_classes, n_rows)
                for order in "CF":
                    ordered = np.asarray(x, order=order)
                    losses, grad = fs.cross_entropy_with_grad(ordered, y, reduction="none")
                    results = {
                        "x": x,
                        "y": y,
                        "softmax": fs.softmax(ordered),
                        "log_softmax": fs.log_softmax(ordered),
                        "logsumexp": fs.logsumexp(ordered),
                        "loss": losses,
                        "grad": grad,
                        "sigmoid": fs.sigmoid(ordered),
                    }
                    for name, value in results.items():
                        saved[f"{dtype}-{kind}-{n_classes}-{order}|{name}"] = value
    np.savez(sys.argv[1], **saved)


if __name__ == "__main__":
    main()
