"""
8. Unbalanced classes
=====================

If 95 of 100 rows belong to one class, a model that always says so is right 95 times of 100, and
useless. Weights in the cross-entropy say which errors matter. This tutorial trains with weights and
without, and compares confusion matrix and classification report of both: what is gained, what it
costs, and what happens to the probabilities.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import balanced_accuracy_score, classification_report

import fastsoftmax as fs

plt.style.use("fastsoftmax.plots.style")

# sphinx_gallery_thumbnail_number = 2

SMALL = os.environ.get("FASTSOFTMAX_EXAMPLES_SMALL") == "1"  # a quick run, for tests
N = 3000 if SMALL else 30_000
NAMES = ("usual", "rare", "very rare")

# %%
# The data
# --------
# Two measurements of a machine, and what was wrong with it: usually nothing, rarely a worn bearing,
# very rarely a crack. The clouds overlap, so no model can be right always.

SHARES = (0.95, 0.04, 0.01)
CENTRES = np.array([[0.0, 0.0], [2.2, 0.6], [0.6, 2.4]])
SPREADS = np.array([1.0, 0.8, 0.8])


def draw_rows(n, rng):
    """Return measurements (n, 2) and classes (n,)."""
    y = rng.choice(3, n, p=SHARES)
    return CENTRES[y] + SPREADS[y, np.newaxis] * rng.standard_normal((n, 2)), y


rng = np.random.default_rng(0)
X, y = draw_rows(N, rng)
X_test, y_test = draw_rows(N, rng)
print("rows of each class:", dict(zip(NAMES, np.bincount(y).tolist(), strict=True)))
share = np.mean(y_test == 0)
print(f"always saying {NAMES[0]!r} is right in {share:.3f} of the test rows")

# %%
# Without weights, and with
# -------------------------
# ``class_weight="balanced"`` multiplies the loss of a row by n / (number of classes * rows of its
# class), so that every class counts the same in total.

plain = fs.SoftmaxRegression().fit(X, y)
weighted = fs.SoftmaxRegression(class_weight="balanced").fit(X, y)
weight = N / (3 * np.bincount(y))
print("weights:", dict(zip(NAMES, weight.round(2).tolist(), strict=True)))

# %%
# The same weights go into the loss itself, for a training loop of your own. "mean" divides by the
# sum of the weights of the rows, so the loss of equal probabilities stays log(3).

guess = np.zeros((len(y), 3))
losses = fs.cross_entropy(guess, y, weight=weight), fs.cross_entropy(guess, y)
print("loss of equal probabilities, with weights and without:", *losses)
for name, clf in (("without", plain), ("with", weighted)):
    logits = clf.decision_function(X_test)
    loss = fs.cross_entropy(logits, y_test)
    weighted_loss = fs.cross_entropy(logits, y_test, weight=weight)
    print(
        f"trained {name:7} weights: loss {loss:.3f}, weighted loss {weighted_loss:.3f}"
    )

# %%
# Confusion matrices
# ------------------
# Each row is a true class and sums to 1: the diagonal is the share that was found.

models = {"without weights": plain, "with weights": weighted}
fig, axes = plt.subplots(1, 2, figsize=(9, 3.9))
for ax, (name, clf) in zip(axes, models.items(), strict=True):
    fs.plots.plot_confusion_matrix(
        clf, X_test, y_test, normalize="true", class_names=NAMES, ax=ax
    )
    ax.set_title(name)

# %%
# Classification reports
# ----------------------
# *Recall* is the share of a class that was found, the diagonal above. *Precision* is the share of
# the alarms that were right, and it is the price: looking harder for cracks means more false
# alarms.

for name, clf in models.items():
    predicted = clf.predict(X_test)
    print(name)
    print(
        classification_report(
            y_test, predicted, target_names=NAMES, digits=3, zero_division=0
        )
    )
    print(f"balanced accuracy: {balanced_accuracy_score(y_test, predicted):.3f}\n")

# %%
# What the weights move
# ---------------------
# The borders between the classes. Without weights they lie where the *numbers* of rows balance,
# deep in the land of the rare classes; with weights where the *densities* balance.

fig, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
some = np.r_[
    np.flatnonzero(y_test == 0)[:1500],
    np.flatnonzero(y_test == 1)[:150],
    np.flatnonzero(y_test == 2)[:60],
]
for ax, (name, clf) in zip(axes, models.items(), strict=True):
    fs.plots.plot_decision_regions(
        clf,
        X_test[some],
        y_test[some],
        class_names=NAMES,
        feature_names=["first measurement", "second measurement"],
        ax=ax,
    )
    ax.set_title(name)
    ax.get_legend().remove()
axes[1].set_ylabel("")
legend = fig.legend(
    *axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=6
)

# %%
# The price: probabilities
# ------------------------
# A model trained with weights speaks of a world in which all classes are equally frequent. Its
# probabilities of rare classes are too high for this one. If probabilities matter, add the
# logarithm of the true shares to the logits, which undoes it, or train without weights, and move
# the borders afterwards by subtracting that logarithm.

log_shares = np.log(np.bincount(y) / len(y))
rows_of_crack = np.mean(y_test == 2)
told = {
    "true share": rows_of_crack,
    "without weights": plain.predict_proba(X_test)[:, 2].mean(),
    "with weights": weighted.predict_proba(X_test)[:, 2].mean(),
    "with weights, shares added": fs.softmax(
        weighted.decision_function(X_test) + log_shares
    )[:, 2].mean(),
}
for name, share in told.items():
    print(f"{name:27} mean probability of {NAMES[2]!r}: {share:.4f}")
moved = (plain.decision_function(X_test) - log_shares).argmax(axis=1)
balanced = balanced_accuracy_score(y_test, moved)
print(f"\nwithout weights, borders moved afterwards: balanced accuracy {balanced:.3f}")

fs.plots.show()

# %%
# What to take home
# -----------------
# - Accuracy hides rare classes. Look at the confusion matrix, at recall and precision.
# - Weights do not add knowledge. They choose between kinds of error: more rare cases found, more
#   false alarms.
# - Whoever needs both, good decisions and good probabilities, trains without weights and moves the
#   borders.
