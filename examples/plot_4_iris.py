"""
4. Iris: three species, from a CSV file
=======================================

The flowers that every course meets. First without a line of Python: a CSV file goes through the
command line. Then pictures of what was learned, and a choice that has to be made for three classes: one
softmax, or three yes-or-no models, one against the rest?
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict
from sklearn.multiclass import OneVsRestClassifier

import fastsoftmax as fs

plt.style.use("fastsoftmax.plots.style")

# %%
# A CSV file
# ----------
# Four measures of 150 flowers and their species, as text. The file needs a header and a column to
# predict; the others hold numbers, or texts that become a feature each.

iris = load_iris(as_frame=True)
table = iris.data.rename(
    columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_")
)
table["species"] = iris.target_names[iris.target]
folder = Path(tempfile.mkdtemp())
table.to_csv(folder / "iris.csv", index=False)
print(table.iloc[::40].to_csv(index=False))

# %%
# Train on the command line
# -------------------------
# ``fastsoftmax train`` holds out a fifth of the rows for the test, trains on the others, tests and
# saves. It brings all measures to one scale, which the saved model undoes by itself, and finds the
# exact minimum of the loss. ``--plots FOLDER`` would draw pictures as well: the history of the loss,
# the confusion matrix, the coefficients, the reliability.


def shell(command):
    """Run a command in the folder of the CSV file."""
    run = [sys.executable, "-m", *command.split()]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=True)
    print(f"$ {command}\n{done.stdout.replace(f'{sys.executable} -m ', '')}")


shell("fastsoftmax train --data iris.csv --target species --save iris.safetensors")

# %%
# The model remembers which rows were held out: ``evaluate`` finds them again in the same table, and
# names the first of them. Of another table it scores all rows.

shell("fastsoftmax evaluate iris.safetensors iris.csv")

# %%
# Predict
# -------
# The saved model reads rows without a species as well, and prints a class for each, with all
# probabilities if asked. The third of these is a virginica: the model is wrong there, and unsure.

table.drop(columns="species").iloc[[0, 75, 133]].to_csv(
    folder / "unknown.csv", index=False
)
shell("fastsoftmax predict iris.safetensors unknown.csv --proba")

# %%
# From Python it is the same model:

saved = fs.SoftmaxRegression.load(folder / "iris.safetensors")
print(saved.predict(table.drop(columns="species").iloc[[0, 75, 133]]))

# %%
# Decision regions
# ----------------
# Two measures can be drawn: the length and width of the petals. Every point of the plane has a species
# that the model would predict there. The lines between them are straight, because logits are linear
# in the measures.

X, y = (
    table[["petal_length", "petal_width"]].to_numpy(),
    table["species"].to_numpy(),
)
softmax = fs.SoftmaxRegression(C=100, max_iter=1000).fit(X, y)
labels = ["petal length (cm)", "petal width (cm)"]
ax = fs.plots.plot_decision_regions(softmax, X, y, feature_names=labels)

# %%
# Softmax against one-vs-rest
# ---------------------------
# One-vs-rest trains three separate models, "setosa or not", "versicolor or not", "virginica or not",
# and picks the one that says yes most strongly. The middle species, *versicolor*, is its weak spot:
# no straight line has versicolor on one side and both others on the other.

one_vs_rest = OneVsRestClassifier(fs.SoftmaxRegression(C=100, max_iter=1000)).fit(X, y)
fig, axes = plt.subplots(1, 2, figsize=(10, 4.2))
for ax, model, title in zip(
    axes, (softmax, one_vs_rest), ("softmax", "one-vs-rest"), strict=True
):
    fs.plots.plot_decision_regions(model, X, y, feature_names=labels, ax=ax)
    ax.get_legend().remove()
    ax.set_title(title)
legend = fig.legend(
    *axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3
)

# %%
# How the three yes-or-no models do on their own, and what their probabilities add up to:

answers = [model.predict_proba(X)[:, 1] for model in one_vs_rest.estimators_]
for name, yes in zip(one_vs_rest.classes_, answers, strict=True):
    right = np.mean((yes > 0.5) == (y == name))
    print(f"{name + ' or not':18s} right for {right:.1%} of the flowers")
total = np.sum(answers, axis=0)
print(f"sum of the three probabilities: from {total.min():.3f} to {total.max():.3f}")
probs = softmax.predict_proba(X)
total = probs.sum(axis=1)
print(f"sum under the softmax:          from {total.min():.3f} to {total.max():.3f}")

# %%
# One-vs-rest has to divide by that sum to return probabilities. On flowers held out in turn (5 folds):

print("               right   cross-entropy")
for name, model in (("softmax", softmax), ("one-vs-rest", one_vs_rest)):
    held_out = cross_val_predict(model, X, y, cv=5, method="predict_proba")
    right = np.mean(model.classes_[held_out.argmax(axis=1)] == y)
    print(f"{name:13s} {right:6.1%}   {log_loss(y, held_out):.4f}")

fs.plots.show()

# %%
# Which to use? If each row has exactly one class, the softmax: its probabilities sum to 1 because they
# were trained together, and the middle class is no special case. Separate yes-or-no models are right
# where a row may have several labels, or none.
