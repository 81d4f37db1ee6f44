"""
6. Multi-label classification
=============================

A street may hold a car, a bus, a pedestrian, all of them, or none. That is three questions with yes
or no, and not one question with three answers. One network with three sigmoid outputs answers them;
here it is compared with three networks, and with a softmax, which answers the wrong question.
"""

import os
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

import fastsoftmax as fs

plt.style.use("fastsoftmax.plots.style")

# sphinx_gallery_thumbnail_number = 3

SMALL = os.environ.get("FASTSOFTMAX_EXAMPLES_SMALL") == "1"  # a quick run, for tests

# The networks below learn for a few epochs, on purpose: without this line ``fit``
# would say that the loss still falls.
warnings.simplefilter("ignore", ConvergenceWarning)
N_TRAIN, N_TEST, EPOCHS = (1500, 500, 10) if SMALL else (12_000, 3000, 25)
LABELS = ("car", "bus", "pedestrian")

# %%
# The data
# --------
# Small seeded images, 12 x 24 pixels. A car is low and wide, a bus high and wide, a pedestrian
# thin. Each is there or not by the toss of a coin, somewhere along the street, under noise.

SIZES = ((3, 6), (7, 9), (6, 2))  # height and width


def draw_streets(n, rng):
    """Return images (n, 12, 24) and labels (n, 3) of 0 and 1."""
    images = rng.normal(0, 0.35, (n, 12, 24)).astype(np.float32)
    labels = rng.integers(0, 2, (n, 3))
    for image, present in zip(images, labels, strict=True):
        for k in np.flatnonzero(present):
            height, width = SIZES[k]
            left = rng.integers(0, 25 - width)
            image[11 - height : 11, left : left + width] += 1
    return images, labels


rng = np.random.default_rng(0)
X, Y = draw_streets(N_TRAIN, rng)
X_test, Y_test = draw_streets(N_TEST, rng)


def names_of(present):
    """Return the names of the labels that are 1."""
    return (
        " + ".join(name for name, one in zip(LABELS, present, strict=True) if one)
        or "nothing"
    )


fig, axes = plt.subplots(2, 4, figsize=(9, 3))
for ax, image, present in zip(axes.flat, X, Y, strict=False):
    ax.imshow(image, vmin=-0.5, vmax=2)
    ax.set_title(names_of(present), fontsize=9)
    ax.set_axis_off()

# %%
# One network, three sigmoids
# ---------------------------
# ``y`` with a column of 0 and 1 for each label makes the estimators multi-label: each column gets a
# sigmoid, and the loss is the binary cross-entropy of all of them. The hidden layer is shared: what
# it learns of edges serves all three.

OPTIONS = {
    "max_iter": EPOCHS,
    "batch_size": 64,
    "learning_rate": "cosine",
    "learning_rate_init": 3e-3,
    "tol": 0.0,
    "random_state": 0,
}


def fit(X, y, units=64):
    """Return a fitted network and the seconds that it took."""
    start = time.perf_counter()
    clf = fs.MLPClassifier((units,), **OPTIONS).fit(X, y)
    return clf, time.perf_counter() - start


def n_parameters(*networks):
    """Count weights and biases."""
    return sum(a.size for clf in networks for a in (*clf.coefs_, *clf.intercepts_))


one, seconds_of_one = fit(X, Y)
print("probabilities of three streets, one column for each label:")
print(one.predict_proba(X_test[:3]).round(3))
print("labels:")
print(Y_test[:3])

# %%
# Three networks
# --------------
# One for each question, with a hidden layer of its own.

three, seconds_of_three = [], 0.0
for k in range(3):
    clf, seconds = fit(X, Y[:, k])
    three.append(clf)
    seconds_of_three += seconds

# %%
# A softmax over the three names
# ------------------------------
# A softmax needs exactly one right class a row. Streets with nothing have none and must be left
# out; of several names one is drawn, anew in every epoch. Its three probabilities always sum to 1:
# a car and a bus get one half each at best, and an empty street has to be called something.

some = Y.sum(axis=1) > 0
names = fs.MLPClassifier((64,), **OPTIONS)
start = time.perf_counter()
for _ in range(EPOCHS):
    drawn = (Y[some] * rng.random(Y[some].shape)).argmax(axis=1)
    names.partial_fit(X[some], drawn, classes=[0, 1, 2])
seconds_of_names = time.perf_counter() - start

# %%
# A softmax over all combinations
# -------------------------------
# The question can be mended: nothing, a car, a bus, a car and a bus ... are 8 classes, of which one
# is right. With k labels there are 2**k of them, so it does not go far; but it can learn which
# labels belong together.

code = np.array([1, 2, 4])
combinations, seconds_of_combinations = fit(X, Y @ code)

# %%
# The comparison
# --------------
# A street counts as right if all three answers are. For the softmax over names a label counts as
# found where its probability is above a quarter: less than the third that three names share out.

predictions = {
    "three sigmoids": one.predict(X_test),
    "three networks": np.column_stack([clf.predict(X_test) for clf in three]),
    "softmax over 3 names": names.predict_proba(X_test) > 1 / 4,
    "softmax over 8 combinations": (combinations.predict(X_test)[:, np.newaxis] & code)
    > 0,
}
sizes = [
    n_parameters(one),
    n_parameters(*three),
    n_parameters(names),
    n_parameters(combinations),
]
seconds = [seconds_of_one, seconds_of_three, seconds_of_names, seconds_of_combinations]

head = f"{'':28} {'all right':>9} {'each label right':>25}"
print(head + f" {'parameters':>11} {'seconds':>8}")
all_right = {}
for (name, found), size, taken in zip(predictions.items(), sizes, seconds, strict=True):
    all_right[name] = (found == Y_test).all(axis=1).mean()
    each = "  ".join(f"{share:.3f}" for share in (found == Y_test).mean(axis=0))
    print(f"{name:28} {all_right[name]:9.3f} {each:>25} {size:11,} {taken:8.2f}")

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.9), width_ratios=(1.1, 1))
bars = axes[0].barh(list(all_right)[::-1], list(all_right.values())[::-1], color="C0")
axes[0].bar_label(
    bars, [f"{share:.2f}" for share in list(all_right.values())[::-1]], padding=3
)
axes[0].set(xlim=(0, 1.15), title="streets with all three answers right")
by_number = [Y_test.sum(axis=1) == n for n in range(4)]
for (name, found), marker in zip(predictions.items(), "os^D", strict=True):
    right = (found == Y_test).all(axis=1)
    axes[1].plot(
        range(4), [right[rows].mean() for rows in by_number], marker + "-", label=name
    )
axes[1].set(
    xticks=range(4),
    xlabel="how much is in the street",
    ylim=(-0.05, 1.05),
    title="the same, by what there is",
)
legend = fig.legend(
    *axes[1].get_legend_handles_labels(), loc="outside lower right", ncols=2, fontsize=9
)
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)

# %%
# Look at single streets: the sigmoids answer each question by itself, the softmax shares out a sum
# of 1.

shown = [
    np.flatnonzero((Y_test == present).all(axis=1))[0]
    for present in ((1, 0, 0), (1, 1, 0), (1, 1, 1), (0, 0, 0))
]
fig, axes = plt.subplots(2, 4, figsize=(9, 3.8), sharey="row")
places = np.arange(3)
for column, row in zip(axes.T, shown, strict=True):
    column[0].imshow(X_test[row], vmin=-0.5, vmax=2)
    column[0].set_title(names_of(Y_test[row]), fontsize=9)
    column[0].set_axis_off()
    column[1].bar(
        places - 0.2, one.predict_proba(X_test[[row]])[0], 0.38, label="three sigmoids"
    )
    column[1].bar(
        places + 0.2,
        names.predict_proba(X_test[[row]])[0],
        0.38,
        label="softmax",
        hatch="//",
        alpha=0.8,
    )
    column[1].set_xticks(places, ("car", "bus", "ped."))
    column[1].set(ylim=(0, 1.05))
    column[1].spines[["top", "right"]].set_visible(False)
axes[1, 0].set_ylabel("probability")
legend = fig.legend(
    *axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2
)

# %%
# A sigmoid is a softmax over two classes
# ---------------------------------------
# exp(z) / (exp(z) + exp(0)) is 1 / (1 + exp(-z)): a sigmoid is the softmax of the logits z and 0.
# So "yes or no" needs one logit, and three sigmoids are three small softmaxes side by side.

z = np.linspace(-6, 6, 121)
pairs = np.column_stack([z, np.zeros_like(z)])
as_softmax = fs.softmax(pairs)[:, 0]
print(f"largest difference: {np.abs(fs.sigmoid(z) - as_softmax).max():.1e}")
of_sigmoid = fs.binary_cross_entropy_with_logits([2.0], [1])
of_softmax = fs.cross_entropy([[2.0, 0.0]], [0])
print(f"loss of the answer yes at z = 2: {of_sigmoid} and {of_softmax}")

fig, ax = plt.subplots(figsize=(6, 3))
ax.plot(z, fs.sigmoid(z), lw=4, alpha=0.4, label="sigmoid(z)")
ax.plot(z, as_softmax, "k--", lw=1, label="softmax([z, 0]), first entry")
ax.set(xlabel="logit z", ylabel="probability")
ax.legend()
ax.grid(alpha=0.3)

fs.plots.show()

# %%
# When to use which
# -----------------
# - **A softmax** where exactly one answer is right: which digit, which species.
# - **One network with a sigmoid a label** where any number may be right. One hidden layer serves
#   all labels, and they share what they have in common.
# - **A network a label** where labels come from different data, or change at different times: each
#   can be trained anew without touching the others. It costs as many networks.
# - **A softmax over combinations** where few combinations occur and labels depend on each other.
