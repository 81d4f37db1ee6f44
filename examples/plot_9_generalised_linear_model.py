"""
9. Softmax regression as a generalised linear model
===================================================

A generalised linear model (GLM) has three parts: a linear score, a function that turns scores into the
mean of the target, and a distribution of the target. For softmax regression these are the logits, the
softmax, and the choice of one of several classes. This page takes the parts one by one, for a *cat*, a
*dog* and a *sheep*, and compares softmax with its relatives sigmoid and tanh.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression

import fastsoftmax as fs

plt.style.use("fastsoftmax.plots.style")

CLASSES = ["cat", "dog", "sheep"]
COLOURS, STYLES = ("#0072B2", "#E69F00", "#009E73"), ("-", "--", ":")

# %%
# One-hot targets
# ---------------
# "It is a dog" is written as a row with a single 1. That is a distribution over the classes, one that
# is certain, and the mean that the model has to predict. Cross-entropy takes the number of the class or
# such a row; the loss is the same, the number is shorter.

logits = np.array([[2.0, 1.0, 0.1], [0.3, 2.2, -1.0], [-0.5, 0.4, 1.5]])
targets = np.array([0, 1, 1])
one_hot = np.eye(3)[targets]
print(one_hot)
print("loss from class numbers:", fs.cross_entropy(logits, targets))
print("loss from one-hot rows: ", fs.cross_entropy(logits, one_hot))

# %%
# The gradient shows why this pair of function and distribution belongs together (it is the *canonical
# link* of the GLM). With respect to the logits it is the mean predicted minus the target, as it is in
# linear regression (:doc:`/gradient` derives it):

loss, gradient = fs.cross_entropy_with_grad(logits, targets, reduction="sum")
print(np.round(gradient, 4))
print(
    "softmax - one_hot is the same:",
    np.allclose(gradient, fs.softmax(logits) - one_hot),
)

# %%
# Raising one lowers the others
# -----------------------------
# Probabilities sum to 1, so the logit of *cat* cannot rise without taking from *dog* and *sheep*. Three
# sigmoids know nothing of one another.

cat = np.linspace(-4, 6, 201)
rows = np.column_stack([cat, np.full(201, 1.0), np.full(201, 0.1)])
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
for ax, probs, title in zip(
    axes,
    (fs.softmax(rows), fs.sigmoid(rows)),
    ("softmax", "three sigmoids"),
    strict=True,
):
    for name, p, style, colour in zip(CLASSES, probs.T, STYLES, COLOURS, strict=True):
        ax.plot(cat, p, style, color=colour, linewidth=2, label=name)
    ax.set(title=title, xlabel="logit of cat (dog 1.0, sheep 0.1)")
axes[0].legend(loc="center right")
label = axes[0].set_ylabel("probability")

# %%
# By how much, says the matrix of derivatives, :math:`\text{diag}(p) - p p^T`: the row of *cat* tells
# what a small rise of its logit does to each probability. Only its own rises, and each row sums to 0.

probs = fs.softmax(np.array([2.0, 1.0, 0.1]))
jacobian = np.array([fs.softmax_backward(row, probs) for row in np.eye(3)])
for name, row in zip(CLASSES, jacobian, strict=True):
    print(f"logit of {name:6s}", np.round(row, 4), f" sum {abs(row.sum()):.4f}")

# %%
# Hyperplanes between classes
# ---------------------------
# Each class has a weight vector; logits are linear. Where two logits are equal,
# :math:`(w_i - w_j) \cdot x + b_i - b_j = 0`: a hyperplane, in two dimensions a line. Three made-up animals
# with two measures:

rng = np.random.default_rng(0)
centres = np.array(
    [[25.0, 4.5], [50.0, 22.0], [70.0, 60.0]]
)  # shoulder height in cm, weight in kg
spread = np.array([[4.0, 1.5], [12.0, 9.0], [8.0, 11.0]])
which = np.repeat(np.arange(3), 80)
X = np.abs(centres[which] + spread[which] * rng.normal(size=(240, 2)))
animals = np.array(CLASSES)[which]
clf = fs.SoftmaxRegression(max_iter=1000).fit(X, animals)
ax = fs.plots.plot_decision_regions(
    clf,
    X,
    animals,
    extend_lines=True,
    feature_names=["shoulder height (cm)", "weight (kg)"],
)

# %%
# Black is where the line separates the two classes, grey where a third is more probable than both.
#
# Two classes: logistic regression
# --------------------------------
# With two classes only the difference of the two logits counts, and softmax becomes the sigmoid of it:

z = np.array([-3.0, 0.0, 1.5])
print("softmax of (0, z):", fs.softmax(np.column_stack([0 * z, z]))[:, 1])
print("sigmoid of z:     ", fs.sigmoid(z))

# %%
# So a softmax regression of two classes *is* a logistic regression. Ours, scikit-learn's, and a softmax
# with both rows of weights, trained here by plain gradient steps:

two = which < 2
Z, y = (X[two] - X[two].mean(axis=0)) / X[two].std(axis=0), which[two]
ours = fs.SoftmaxRegression(tol=1e-8).fit(Z, y)
theirs = LogisticRegression(tol=1e-8).fit(Z, y)
W, b = np.zeros((2, 2)), np.zeros(2)
for _ in range(20_000):
    _, gradient = fs.cross_entropy_with_grad(Z @ W.T + b, y)
    # The penalty of one weight vector w, shared by two rows as w/2 and -w/2.
    W -= 0.5 * (gradient.T @ Z + 2 * W / len(y))
    b -= 0.5 * gradient.sum(axis=0)
print("fs.SoftmaxRegression            ", ours.coef_[0], ours.intercept_)
print("sklearn LogisticRegression      ", theirs.coef_[0], theirs.intercept_)
print("softmax of two rows, difference ", W[1] - W[0], b[1:] - b[:1])
gap = np.abs(ours.predict_proba(Z) - theirs.predict_proba(Z)).max()
print(f"largest difference between ours and scikit-learn's probabilities: {gap:.1e}")

# %%
# Softmax, sigmoid and tanh as output layers
# ------------------------------------------
# The same three logits through each of the three:

example = np.array([2.0, 1.0, -1.0])
outputs = {
    "softmax": fs.softmax(example),
    "sigmoid": fs.sigmoid(example),
    "tanh": np.tanh(example),
}
for name, values in outputs.items():
    print(f"{name:8s} {np.round(values, 4)}  sum {values.sum():.4f}")
print(
    "tanh(z) - (2 sigmoid(2z) - 1):",
    np.abs(np.tanh(example) - (2 * fs.sigmoid(2 * example) - 1)).max(),
)

# %%
# ========= ================== ============================== =================================
# layer     each output        the outputs together           use it for
# ========= ================== ============================== =================================
# softmax   in (0, 1)          sum to 1                       one class out of several
# sigmoid   in (0, 1)          independent                    two classes; several labels a row
# tanh      in (-1, 1)         independent, no probabilities  targets that lie in (-1, 1)
# ========= ================== ============================== =================================
#
# tanh is a sigmoid stretched to (-1, 1). With targets -1 and 1 and the squared error it can be trained
# to classify, and older tutorials do so. What it costs shows in the gradient where the model is sure
# and wrong. The right answer here is "yes", the logit says "no":

z = np.linspace(-8, 8, 321)
_, of_sigmoid = fs.binary_cross_entropy_with_logits_with_grad(
    z, np.ones_like(z), reduction="none"
)
_, of_softmax = fs.cross_entropy_with_grad(
    np.column_stack([0 * z, z]), np.ones(len(z), dtype=int), reduction="none"
)
t = np.tanh(z)
curves = {
    "softmax, cross-entropy": of_softmax[:, 1],
    "sigmoid, cross-entropy": of_sigmoid,
    "tanh, squared error": 2 * (t - 1) * (1 - t**2),
}
fig, axes = plt.subplots(1, 2, figsize=(9.4, 4.4))
for (name, values), style, colour in zip(
    {"sigmoid (softmax of 0 and z)": fs.sigmoid(z), "tanh": t}.items(),
    ("-", ":"),
    COLOURS[::2],
    strict=True,
):
    axes[0].plot(z, values, style, color=colour, linewidth=2, label=name)
axes[0].set(title="output", xlabel="logit z")
axes[0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.16))
for (name, values), style, colour, width in zip(
    curves.items(), STYLES, COLOURS, (5, 2, 2), strict=True
):
    axes[1].plot(z, values, style, color=colour, linewidth=width, label=name)
axes[1].set(title='gradient of the loss, right answer "yes"', xlabel="logit z")
axes[1].legend(loc="upper center", bbox_to_anchor=(0.5, -0.16))

at = np.abs(z + 6).argmin()
for name, values in curves.items():
    print(f"{name:24s} gradient at z = {z[at]:.0f}: {values[at]:.2e}")

# %%
# Sure and wrong, the model has the most to learn. Cross-entropy pushes with a gradient near -1; through
# tanh and the squared error hardly any of it is left. The same animals again, with the same steps, from
# a start that is sure and wrong: large ones are cats, small ones sheep.

Z = (X - X.mean(axis=0)) / X.std(axis=0)
one_hot = np.eye(3)[which]
start = np.array(
    [[4.0, 4.0], [0.0, 0.0], [-4.0, -4.0]]
)  # large is a cat, small a sheep


def train(gradient_of, steps=300, rate=0.5):
    """Return the share of animals right after each gradient step of a linear model."""
    W, b, right = start.copy(), np.zeros(3), []
    for _ in range(steps):
        scores = Z @ W.T + b
        right.append(np.mean(scores.argmax(axis=1) == which))
        gradient = gradient_of(scores)
        W -= rate * gradient.T @ Z
        b -= rate * gradient.sum(axis=0)
    return right


def tanh_gradient(scores):
    """Return the gradient of the mean squared error of tanh, targets -1 and 1."""
    t = np.tanh(scores)
    return 2 * (t - (2 * one_hot - 1)) * (1 - t**2) / len(scores)


runs = {
    "softmax, cross-entropy": train(lambda s: fs.cross_entropy_with_grad(s, which)[1]),
    "sigmoid, cross-entropy": train(
        lambda s: (
            fs.binary_cross_entropy_with_logits_with_grad(s, one_hot, reduction="sum")[
                1
            ]
            / len(s)
        )
    ),
    "tanh, squared error": train(tanh_gradient),
}
fig, ax = plt.subplots(figsize=(6.8, 3.8))
for (name, right), style, colour in zip(runs.items(), STYLES, COLOURS, strict=True):
    ax.plot(right, style, color=colour, linewidth=2, label=name)
    print(f"{name:24s} right after 20 steps {right[20]:.1%}", end=", ")
    print(f"after {len(right) - 1} {right[-1]:.1%}")
ax.set(xlabel="step", ylabel="share of animals right", ylim=(0, 1.02))
ax.legend(loc="lower right")

fs.plots.show()
