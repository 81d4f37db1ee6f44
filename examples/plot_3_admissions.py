"""
3. Admissions: softmax regression by hand
=========================================

A college looks at two numbers, the grade point average and the score of an exam, and admits, waitlists
or rejects. Three classes and two features are few enough to compute everything by hand and to draw all
of it: what the parameters mean, how gradient steps find them, and why the boundaries between the
classes run where they do. The example is that of a well-known article, `Multiclass classification with
softmax regression explained
<https://towardsdatascience.com/multiclass-classification-with-softmax-regression-explained-ea320518ea5d/>`_,
with its starting parameters and its two applicants.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastsoftmax as fs

plt.style.use("fastsoftmax.plots.style")

# %%
# The data
# --------
# The applicants are made up, with a fixed seed: averages from 2.5 to 5, scores from 40 to 100. A
# committee adds up 12 * grade + score; above 138 it admits, below 122 it rejects. It is not always of
# one mind, so that the classes overlap a little.

classes = ["admitted", "waitlisted", "rejected"]
MARKERS, STYLES = "os^", ("-", "--", ":")


def applications(n, rng):
    """Return grades and scores, (n, 2), and positions in `classes`, (n,)."""
    grades, scores = rng.uniform(2.5, 5.0, n), rng.uniform(40, 100, n)
    merit = 12 * grades + scores + rng.normal(0, 4, n)
    answers = np.where(merit > 138, 0, np.where(merit > 122, 1, 2))
    return np.column_stack([grades, scores]), answers


rng = np.random.default_rng(42)
X, y = applications(300, rng)
for name, count in zip(classes, np.bincount(y), strict=True):
    print(f"{name:10s} {count}")

# %%
fig, ax = plt.subplots()
for k, (name, marker) in enumerate(zip(classes, MARKERS, strict=True)):
    ax.scatter(*X[y == k].T, marker=marker, s=22, label=name)
ax.set(xlabel="grade point average", ylabel="exam score")
legend = fig.legend(loc="outside right upper")

# %%
# The model
# ---------
# Every class k has two weights and an intercept, and gives an applicant the *logit*
#
# .. math::
#
#     z_k = w_{k1} \cdot \text{grade} + w_{k2} \cdot \text{score} + b_k
#
# Softmax turns the three logits into three probabilities, which are positive and sum to 1:
#
# .. math::
#
#     p_k = \frac{e^{z_k}}{e^{z_1} + e^{z_2} + e^{z_3}}
#
# The article's start
# -------------------
# Training has to start somewhere. The article starts with an intercept of -250 for *admitted* and of
# -220 for the other two, and with weights of 40 and 1 for all three. What does this say about an
# applicant with 4.5 and 90, who was admitted?

W = np.array([[40.0, 1.0], [40.0, 1.0], [40.0, 1.0]])
b = np.array([-250.0, -220.0, -220.0])
student = np.array([4.5, 90.0])
logits = W @ student + b
probs = fs.softmax(logits)
print("logits       ", logits)
print("probabilities", np.round(probs, 4), f"(the first is {probs[0]:.1e})")

# %%
# [0, 0.5, 0.5]: *waitlisted* and *rejected* have the same parameters, hence the same logits, and share
# what there is. *Admitted* lies 30 behind, and gets next to nothing.
#
# Slope and intercept of a class's line
# -------------------------------------
# The article draws a line for each class: the points where its logit is 0. Solved for the score, it has
# the slope :math:`-w_{k1} / w_{k2}` and the intercept :math:`-b_k / w_{k2}`:


def line(w, b):
    """Return slope and intercept of w[0] * grade + w[1] * score + b = 0."""
    return -w[0] / w[1], -b / w[1]


for name, w_k, b_k in zip(classes, W, b, strict=True):
    slope, intercept = line(w_k, b_k)
    print(f"{name:10s} score = {slope:.0f} * grade + {intercept:.0f}")

# %%
# Such a line is no boundary. Add the same parameters to all three classes: each of the lines moves, and
# no probability changes, because softmax sees only differences between logits.

more_W, more_b = W + np.array([-20.0, 3.0]), b + 100.0
print("the same probabilities:", np.round(fs.softmax(more_W @ student + more_b), 4))
for name, w_k, b_k in zip(classes, more_W, more_b, strict=True):
    slope, intercept = line(w_k, b_k)
    print(f"{name:10s} score = {slope:.0f} * grade + {intercept:.0f}")

# %%
# The boundary between two classes is where their logits are *equal*, and it comes from the difference of
# their parameters. In this start all weights are equal, so the differences are 30 and 0 wherever one
# looks: there is no boundary at all, and every applicant gets [0, 0.5, 0.5].
#
# The gradient steps that repair it
# ---------------------------------
# Training makes the *cross-entropy* small, the mean of -log(p) of the right classes. Its gradient with
# respect to the logits is ``p - 1`` for the right class and ``p`` for the others (:doc:`/gradient`
# derives it). Equal starts do no lasting harm: each class sees targets of its own, so already the first
# gradient differs between them. To make one rate suit both features, they are standardised, to mean 0
# and deviation 1; the same start in these units is ``W * deviation`` and ``b + W @ mean``.

mean, deviation = X.mean(axis=0), X.std(axis=0)
Z = (X - mean) / deviation
z_student = (student - mean) / deviation

W, b = W * deviation, b + W @ mean
steps, rate = 20_000, 1.0
course, losses = [], []
for step in range(steps + 1):
    loss, grad_logits = fs.cross_entropy_with_grad(Z @ W.T + b, y)
    course.append(fs.softmax(W @ z_student + b))
    losses.append(loss)
    if step in (0, 1, 2, 5, 10, 100, 1000, steps):
        print(
            f"step {step:5d}  loss {loss:7.4f}  4.5 and 90: {np.round(course[-1], 3)}"
        )
    if step == 0:
        first_gradient = grad_logits.T @ Z
    W -= rate * grad_logits.T @ Z
    b -= rate * grad_logits.sum(axis=0)

print("\nthe first gradient of the weights, a row per class:")
print(np.round(first_gradient, 3))

# %%
# The rows of *waitlisted* and *rejected* differ from the first step on, and so the two part. The axes of
# steps are logarithmic, and begin after the first one.

numbers = np.arange(1, steps + 1)
fig, axes = plt.subplots(1, 2, figsize=(9.2, 3.6))
for k, (name, style) in enumerate(zip(classes, STYLES, strict=True)):
    axes[0].plot(numbers, np.array(course)[1:, k], style, label=name)
axes[0].set(ylim=(-0.02, 1.02))
axes[0].set(xlabel="step", ylabel="probability", title="the applicant with 4.5 and 90")
axes[0].legend(loc="center right")
axes[1].plot(numbers, losses[1:])
axes[1].set(xlabel="step", ylabel="loss", title="all applicants")
for ax in axes:
    ax.set(xscale="log", xlim=(1, steps))

# %%
# The same from the estimator
# ---------------------------
# ``SoftmaxRegression`` finds the minimum without a rate or a number of steps to choose, and without
# standardised features. ``C`` is large here to make its penalty on large weights small, because the
# steps above have none.

clf = fs.SoftmaxRegression(C=1e6, max_iter=1000).fit(X, y)
print(f"loss after {steps} steps by hand: {losses[-1]:.6f}")
loss = clf.evaluate(X, y)["loss"]
print(f"loss after {clf.n_iter_[0]} iterations of fit: {loss:.6f}")
gap = np.abs(fs.softmax(Z @ W.T + b) - clf.predict_proba(X)).max()
print(f"largest difference between their probabilities: {gap:.5f}")

# %%
# Two applicants, worked through
# ------------------------------
# Logits first, then softmax. The largest logit is subtracted from all three, which changes nothing but
# keeps the exponentials from overflowing:

applicants = np.array([[4.5, 90.0], [4.3, 79.0]])
for applicant in applicants:
    print(f"grade {applicant[0]}, score {applicant[1]:.0f}")
    z = clf.coef_ @ applicant + clf.intercept_
    e = np.exp(z - z.max())
    for name, logit, power, p in zip(classes, z, e, e / e.sum(), strict=True):
        print(f"  {name:10s}  logit {logit:7.3f}", end="   ")
        print(f"e^(logit - largest) {power:.6f}   p {p:.4f}")
    probability = clf.predict_proba([applicant]).max()
    answer = classes[clf.predict([applicant])[0]]
    print(f"  predicted: {answer}, with probability {probability:.4f}")

# %%
# Why the boundaries run where they do
# ------------------------------------
# Two classes i and j are equally probable where their logits are equal:
#
# .. math::
#
#     (w_i - w_j) \cdot x + b_i - b_j = 0
#
# That is a straight line, and slope and intercept come from the *differences* of weights and intercepts.
# Three classes have three differences, and so three lines:

for i, j in ((0, 1), (1, 2), (0, 2)):
    slope, intercept = line(
        clf.coef_[i] - clf.coef_[j], clf.intercept_[i] - clf.intercept_[j]
    )
    pair = f"{classes[i]} | {classes[j]}"
    print(f"{pair:22s} score = {slope:.2f} * grade + {intercept:.1f}")

# %%
# The committee's own lines are score = -12 * grade + 138 and score = -12 * grade + 122: a point of grade is
# worth 12 points of the exam. The second is found almost exactly, because many applicants lie on both of
# its sides; the first rests on 40 admitted ones in a corner. With a hundred times as many applicants:

many = fs.SoftmaxRegression(C=1e6, max_iter=1000).fit(*applications(30_000, rng))
for i, j in ((0, 1), (1, 2)):
    slope, intercept = line(
        many.coef_[i] - many.coef_[j], many.intercept_[i] - many.intercept_[j]
    )
    pair = f"{classes[i]} | {classes[j]}"
    print(f"{pair:22s} score = {slope:.2f} * grade + {intercept:.1f}")

# %%
# All three are drawn below, in grey where they separate nothing. The line between *admitted* and
# *rejected* is grey all along in this picture: where these two are equally probable, *waitlisted* is
# more probable than both. The differences also add up, (w_1 - w_2) + (w_2 - w_3) = w_1 - w_3, so where
# two of the lines meet, the third passes too: there all classes have probability 1/3.

ax = fs.plots.plot_decision_regions(
    clf,
    X,
    y,
    extend_lines=True,
    class_names=classes,
    feature_names=["grade point average", "exam score"],
)
for applicant, colour in zip(applicants, ("black", "white"), strict=True):
    ax.plot(
        *applicant,
        "*",
        color=colour,
        markersize=14,
        markeredgecolor="0.5",
        label=f"the applicant with {applicant[0]} and {applicant[1]:.0f}",
    )
legend = ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))

# %%

differences = clf.coef_[:2] - clf.coef_[2]
meeting = np.linalg.solve(differences, clf.intercept_[2] - clf.intercept_[:2])
print(f"the lines meet at grade {meeting[0]:.2f}, score {meeting[1]:.2f}")
print("probabilities there:", np.round(clf.predict_proba([meeting])[0], 4))

# %%
# The probability changes gradually across a boundary. Along a fixed score of 79, from left to right:

fig, ax = plt.subplots(figsize=(6.4, 3.4))
across = np.column_stack([np.linspace(2.5, 5, 200), np.full(200, 79.0)])
for name, probs, style in zip(
    classes, clf.predict_proba(across).T, STYLES, strict=True
):
    ax.plot(across[:, 0], probs, style, label=name)
ax.axvline(4.3, color="0.5", linewidth=1)
ax.set(xlabel="grade point average, at an exam score of 79", ylabel="probability")
ax.legend(loc="center left")

fs.plots.show()
