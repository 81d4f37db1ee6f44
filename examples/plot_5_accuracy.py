"""
5. Numerical accuracy
=====================

Two formulas can be equal on paper and far apart in a computer. This tutorial shows why a loss
should be computed from logits and not from probabilities, and measures how wrong each way is, in
units in the last place (ULP): of NumPy's textbook lines, of the libraries installed here, and of
fastsoftmax.
"""

import importlib
import os

import matplotlib.pyplot as plt
import numpy as np

import fastsoftmax as fs

plt.style.use("fastsoftmax.plots.style")

# sphinx_gallery_thumbnail_number = 2

SMALL = os.environ.get("FASTSOFTMAX_EXAMPLES_SMALL") == "1"  # a quick run, for tests
ROWS = 200 if SMALL else 20_000

# %%
# One difference, two ways
# ------------------------
# On paper ``(1 + 1/10000) - (1 - 1/10000)`` is ``2/10000``. A computer rounds ``1 + 1/10000`` to
# the numbers that it has near 1, which lie far apart beside 1/10000. The subtraction is exact; it
# only uncovers what the two roundings have lost.

for dtype in (np.float32, np.float64):
    one, small = dtype(1), dtype(1) / dtype(10000)
    direct, difference = dtype(2) / dtype(10000), (one + small) - (one - small)
    lost = abs(float(difference) / float(direct) - 1)
    print(f"{dtype.__name__}: 2/10000 = {direct:.18f}")
    print(f"{'':9}difference = {difference:.18f}, wrong by {lost:.1e} of itself")

# %%
# A loss computed from probabilities does the same. A confident and right prediction has a
# probability close to 1, and its loss is the small distance from 1. Rounding the probability
# destroys that distance.
#
# A ruler
# -------
# A ULP is the gap between a number and the next one of its dtype. The nearest number is at most half
# a ULP away, so that an error below 1 is very good. The exact results come from NumPy's long double,
# which has 11 more bits than double on x86.


def ulp_error(got, exact):
    """Return the error of each result in units in the last place of its dtype."""
    got = np.asarray(got)
    exponent = np.frexp(exact)[1] - 1 - np.finfo(got.dtype).nmant
    return np.abs(got.astype(np.longdouble) - exact) / np.ldexp(
        np.longdouble(1), exponent
    )


# %%
# Two classes
# -----------
# Let z be the logit of the right answer. Its probability is ``sigmoid(z)`` and the loss is ``log(1
# + exp(-z))``. The logits are float32; from the left to the right the prediction grows more
# confident.

z = np.linspace(0, 30, 61, dtype=np.float32)
exact = np.log1p(np.exp(-z.astype(np.longdouble)))
ones = np.ones_like(z)
one = np.float32(1)

with np.errstate(divide="ignore"):
    binary = {
        "from the probability: -log(p)": -np.log(one / (one + np.exp(-z))),
        "from the logit, plainly: log(1 + exp(-z))": np.log(one + np.exp(-z)),
    }


def installed(name):
    """Import a library, or return None and say so."""
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name} is not installed, and is left out")
        return None


special, torch, sk_loss = (
    installed("scipy.special"),
    installed("torch"),
    installed("sklearn._loss.loss"),
)
if special:
    binary["SciPy: -log_expit(z)"] = -special.log_expit(z)
if torch:
    binary["PyTorch: binary_cross_entropy_with_logits"] = (
        torch.nn.functional.binary_cross_entropy_with_logits(
            torch.tensor(z), torch.tensor(ones), reduction="none"
        ).numpy()
    )
if sk_loss:
    loss = sk_loss.HalfBinomialLoss()
    binary["scikit-learn: HalfBinomialLoss"] = loss.loss(ones, z)
binary["fastsoftmax: binary_cross_entropy_with_logits"] = (
    fs.binary_cross_entropy_with_logits(z, ones, reduction="none")
)

for name, losses in binary.items():
    print(f"{name:50} largest error {ulp_error(losses, exact).max():12.3g} ULP")

# %%
# With two classes SciPy and PyTorch are as right as fastsoftmax, or a little more: they take
# ``log1p`` of a small number, too. The picture shows where each way errs:

STYLES = ["o", "s", "^", "v", "D", "x", "P"]


def draw(ax, x, exact, losses_by_name, every=1):
    """Draw the error of each way over x; ours black and last."""
    for i, (name, losses) in enumerate(losses_by_name.items()):
        ours = name.startswith("fastsoftmax")
        error = np.maximum(ulp_error(losses, exact).astype(float), 0.02)
        look = {"color": "black", "lw": 2} if ours else {"color": f"C{i}", "lw": 1}
        ax.plot(x[::every], error[::every], STYLES[i] + "-", ms=4, label=name, **look)
    ax.axhline(4, color="gray", lw=1, ls="--")
    ax.text(
        0.99, 5, "4 ULP", transform=ax.get_yaxis_transform(), ha="right", color="gray"
    )
    ax.set(yscale="log", ylim=(0.015, 1e8))
    ax.grid(alpha=0.3)


fig, ax = plt.subplots(figsize=(8, 5.5))
draw(ax, z, exact, binary)
ax.set(
    xlabel="logit of the right answer",
    ylabel="error of the loss in ULP (0.02 stands for less)",
)
ax.set_title("Two classes, float32")
legend = fig.legend(loc="outside lower center", fontsize=9, ncols=2)

# %%
# Both plain formulas lose about one digit more for every 2.3 of the logit. From z = 17 on the
# probability is rounded to 1 and the loss to 0: all digits are gone, which is an error between
# 2**23 and 2**24 ULP.
#
# Many classes
# ------------
# The same with ten classes and a softmax. The textbook subtracts the maximum, which prevents
# overflow and does not help here: the sum of exponentials is 1 and a little, and the little is
# rounded away. What helps is to keep the little apart from the 1, and to take ``log1p`` of it.

rng = np.random.default_rng(0)
margin = np.linspace(0, 30, 61, dtype=np.float32)
logits = rng.standard_normal((len(margin), 10), dtype=np.float32)
logits[:, 0] = logits[:, 1:].max(axis=1) + margin
right = np.zeros(len(margin), dtype=np.int64)


def exact_results(logits, targets):
    """Return probabilities and the loss of each row in long double."""
    rows = np.arange(len(logits))
    shifted = logits.astype(np.longdouble)
    shifted -= shifted.max(axis=1, keepdims=True)
    exps = np.exp(shifted)
    others = exps.copy()
    others[rows, shifted.argmax(axis=1)] = 0
    others = others.sum(axis=1)
    return exps / (1 + others)[:, np.newaxis], np.log1p(others) - shifted[rows, targets]


def losses_by_name(logits, targets):
    """Return the loss of each row, computed in every way that is at hand."""
    rows = np.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)
    probs = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    found = {}
    with np.errstate(divide="ignore"):
        found["from the probability: -log(p)"] = -np.log(probs[rows, targets])
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    found["NumPy, from the logits"] = log_sums - shifted[rows, targets]
    if special:
        found["SciPy: -log_softmax"] = -special.log_softmax(logits, axis=1)[
            rows, targets
        ]
    if torch:
        found["PyTorch: cross_entropy"] = torch.nn.functional.cross_entropy(
            torch.tensor(logits), torch.tensor(targets), reduction="none"
        ).numpy()
    if sk_loss:
        loss = sk_loss.HalfMultinomialLoss(n_classes=logits.shape[1])
        found["scikit-learn: HalfMultinomialLoss"] = loss.loss(
            targets.astype(logits.dtype), logits
        )
    found["fastsoftmax: cross_entropy"] = fs.cross_entropy(
        logits, targets, reduction="none"
    )
    return found


_, exact = exact_results(logits, right)
many = losses_by_name(logits, right)
for name, losses in many.items():
    print(f"{name:50} largest error {ulp_error(losses, exact).max():12.3g} ULP")

fig, ax = plt.subplots(figsize=(8, 5.5))
draw(ax, margin, exact, many)
ax.set(
    xlabel="distance of the right logit from the next",
    ylabel="error of the loss in ULP (0.02 stands for less)",
)
ax.set_title("Ten classes, float32")
legend = fig.legend(loc="outside lower center", fontsize=9, ncols=2)

# %%
# Random logits
# -------------
# Confident rows are the worst case for a loss. For softmax itself every row matters: ``x - max`` is
# rounded before exp is taken, and exp turns that absolute error into a relative one. Here is the
# largest error over many random rows, half of whose targets are the largest logit, as in a trained
# model.

logits = 3 * rng.standard_normal((ROWS, 100), dtype=np.float32)
targets = rng.integers(0, 100, ROWS)
targets[::2] = logits[::2].argmax(axis=1)
probs, exact = exact_results(logits, targets)

shifted = logits - logits.max(axis=1, keepdims=True)
softmaxes = {"NumPy": np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)}
if special:
    softmaxes["SciPy"] = special.softmax(logits, axis=1)
if torch:
    softmaxes["PyTorch"] = torch.softmax(torch.tensor(logits), 1).numpy()
softmaxes["fastsoftmax"] = fs.softmax(logits)

normal = probs >= np.finfo(np.float32).smallest_normal
softmax_errors = {
    name: ulp_error(p, probs)[normal].max() for name, p in softmaxes.items()
}
loss_errors = {
    name.split(":")[0].split(",")[0]: ulp_error(losses, exact).max()
    for name, losses in losses_by_name(logits, targets).items()
}
for kind, errors in (("softmax", softmax_errors), ("loss of a row", loss_errors)):
    for name, error in errors.items():
        print(f"{kind:14} {name:21} {float(error):10.3g} ULP")

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.4))
for ax, title, errors in zip(
    axes, ("softmax", "loss of a row"), (softmax_errors, loss_errors), strict=True
):
    names = list(errors)[::-1]
    values = [float(errors[name]) for name in names]
    bars = ax.barh(
        names, values, color=["black" if n == "fastsoftmax" else "C0" for n in names]
    )
    ax.bar_label(
        bars,
        [f"{value:,.0f}" if value > 100 else f"{value:.3g}" for value in values],
        padding=3,
    )
    ax.set(
        xscale="log",
        xlim=(0.5, max(values) * 20),
        title=title,
        xlabel="largest error in ULP",
    )
    ax.spines[["top", "right"]].set_visible(False)

fs.plots.show()

# %%
# What to take home
# -----------------
# - Compute a loss from logits. No later formula can bring back what a rounded probability has lost.
# - Where a formula subtracts numbers that are nearly equal, look for one that does not.
# - fastsoftmax promises 4 ULP for softmax and for the loss of each row; :doc:`/accuracy` says how.
