"""Judge what dump.py saved against long double; run it where that has 64 bits of mantissa."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
import oracle

BOUND = 4.0


def errors_of(get):
    """Yield (operation, largest error in ULP) of one entry."""
    x, y = get("x"), get("y")
    rows = oracle.Rows(x)
    losses, grad, _ = oracle.cross_entropy(x, y)
    size = np.maximum(abs(rows.lse), abs(rows.m))[:, 0]
    wanted = {
        "softmax": (rows.probs, None),
        "log_softmax": (rows.log_probs, None),
        "logsumexp": (rows.lse[:, 0], size),
        "loss": (losses, None),
        "grad": (grad, None),
        "sigmoid": (1 / (1 + np.exp(-x.astype(np.longdouble))), None),
    }
    for name, (right, scale) in wanted.items():
        yield name, oracle.ulp_error(get(name), right, scale)


def main():
    """Print the largest error of each operation and dtype; exit with 1 if one is over the bound."""
    archive = np.load(sys.argv[1])
    worst = {}
    for entry in sorted({name.split("|")[0] for name in archive.files}):
        for operation, error in errors_of(lambda name, entry=entry: archive[f"{entry}|{name}"]):
            key = (operation, entry[0])
            worst[key] = max(worst.get(key, (0.0, "")), (float(error), entry))
    for (operation, dtype), (error, entry) in sorted(worst.items()):
        print(f"{operation:12} {np.dtype(dtype).name:8} {error:5.2f} ULP  {entry}")
    sys.exit(any(error > BOUND for error, _ in worst.values()))


if __name__ == "__main__":
    main()
