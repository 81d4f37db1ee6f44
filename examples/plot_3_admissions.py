"""
3. Admissions: softmax regression by hand
=========================================

A college looks at two numbers, the grade point average and the score of an exam, and admits, waitlists
or rejects. Three classes and two features are few enough to compute everything by hand and to draw all
of it: what the parameters mean, how gradient steps find them, and why the boundaries between the
classes run where they do.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastsoftmax as fs

# %%
# The data
# --------
# The applicants are made up, with a fixed seed: averages from 2.5 to 5, scores from 40 to 100. A
# committee weighs both and is not always of one mind, so that the classes overlap a little.

rng = np.random.default_rng(42)
n = 300
grades = rng.uniform(2.5, 5.0, n)
scores = rng.uniform(40, 100, n)
merit = 12 * grades + scores + rng.normal(0, 4, n)
classes = ["admitted", "waitlisted", "rejected"]
COLOURS, MARKERS, STYLES = (
    ("#0072B2", "#E69F00", "#009E73"),
    "os^",
    ("-", "--", ":"),
)
y = np.where(merit > 138, 0, np.where(merit > 122, 1, 2))  # the position in `classes`
X = np.column_stack([grades, scores])
for name, count in zip(classes, np.bincount(y), strict=True):
    print(f"{name:10s} {count}")

# %%
fig, ax = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
for k, (name, marker, colour) in enumerate(zip(classes, MARKERS, COLOURS, strict=True)):
    ax.scatter(*X[y == k].T, marker=marker, color=colour, s=22, label=name)
ax.set(xlabel="grade point average", ylabel="exam score")
fig.legend(loc="outside right upper")

# %%
# The model
# ---------
# Every class k has two weights and an intercept, and gives an applicant the *logit* ::
#
#     z_k = w_k1 * grade + w_k2 * score + b_k
#
# Softmax turns the three logits into three probabilities, which are positive and sum to 1::
#
#     p_k = exp(z_k) / (exp(z_1) + exp(z_2) + exp(z_3))
#
# Equal starting parameters
# -------------------------
# Only differences between logits count, so one class can serve as the reference with all of its
# parameters 0. Let that be *admitted*, and let the other two start with equal parameters, all 1. What
# does this say about an applicant with 4.5 and 90?

student = np.array([4.5, 90.0])
W = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
b = np.array([0.0, 1.0, 1.0])
logits = W @ student + b
probs = fs.softmax(logits)
print("logits       ", logits)
print("probabilities", np.round(probs, 4), f"(the first is {probs[0]:.1e})")

# %%
# [0, 0.5, 0.5], and that is wrong twice. Two classes with the same parameters have the same logits and
# share what there is. And the raw numbers are large, so that the reference class, 95.5 behind, gets
# almost nothing, although this is one of the best applicants.
#
# The gradient steps that repair it
# ---------------------------------
# Training makes the *cross-entropy* small, the mean of -log(p) of the right classes. Its gradient with
# respect to the logits is ``p - 1`` for the right class and ``p`` for the others. Equal starts do no
# lasting harm: each class sees targets of its own, so already the first gradient differs between them.
#
# Two things make the steps work. The features are standardised, to mean 0 and deviation 1, because
# otherwise a score of 90 would move its weight twenty times as far as a grade of 4.5. (This alone takes
# the logits nearer to each other: see step 0.) And the reference class learns like the others.

mean, deviation = X.mean(axis=0), X.std(axis=0)
Z = (X - mean) / deviation
z_student = (student - mean) / deviation

W = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
b = np.array([0.0, 1.0, 1.0])
steps, rate = 20_000, 1.0
course, losses = [], []
for step in range(steps + 1):
    loss, grad_logits = fs.cross_entropy_with_grad(Z @ W.T + b, y)
    course.append(fs.softmax(W @ z_student + b))
    losses.append(loss)
    if step in (0, 1, 2, 5, 10, 100, 1000, steps):
        print(f"step {step:5d}  loss {loss:.4f}  4.5 and 90: {np.round(course[-1], 3)}")
    if step == 0:
        first_gradient = grad_logits.T @ Z
    W -= rate * grad_logits.T @ Z
    b -= rate * grad_logits.sum(axis=0)

print("\nthe first gradient of the weights, a row per class:")
print(np.round(first_gradient, 3))

# %%
# The rows of *waitlisted* and *rejected* differ from the first step on, and so the two part.

fig, axes = plt.subplots(1, 2, figsize=(9.2, 3.6), layout="constrained")
for k, (name, style, colour) in enumerate(zip(classes, STYLES, COLOURS, strict=True)):
    axes[0].plot(np.array(course)[:, k], style, color=colour, linewidth=2, label=name)
axes[0].set(xscale="symlog", xlim=(0, steps), ylim=(-0.02, 1.02))
axes[0].set(xlabel="step", ylabel="probability", title="the applicant with 4.5 and 90")
axes[0].legend(loc="center right")
axes[1].plot(losses, color="#0072B2")
axes[1].set(
    xscale="symlog",
    xlim=(0, steps),
    xlabel="step",
    ylabel="loss",
    title="all applicants",
)

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
        print(f"  {name:10s}  logit {logit:7.3f}   e^(logit - largest) {power:.6f}   p {p:.4f}")
    probability = clf.predict_proba([applicant]).max()
    answer = classes[clf.predict([applicant])[0]]
    print(f"  predicted: {answer}, with probability {probability:.4f}")

# %%
# Why the boundaries run where they do
# ------------------------------------
# Two classes i and j are equally probable where their logits are equal::
#
#     (w_i - w_j) x + b_i - b_j = 0
#
# That is a straight line, and its direction is set by the *difference* of two weight vectors. Adding
# the same vector to all three changes no line and no probability. Three classes have three differences,
# and so three lines:

for i, j in ((0, 1), (0, 2), (1, 2)):
    (along_grade, along_score) = clf.coef_[i] - clf.coef_[j]
    offset = clf.intercept_[i] - clf.intercept_[j]
    pair = f"{classes[i]} | {classes[j]}"
    print(f"{pair:22s} {along_grade:7.3f} grade {along_score:+.3f} score {offset:+8.3f} = 0")

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
for applicant in applicants:
    said = f"{applicant[0]}, {applicant[1]:.0f}"
    ax.plot(
        *applicant,
        "*",
        color="black",
        markersize=14,
        markeredgecolor="white",
        zorder=3,
    )
    ax.annotate(
        said,
        applicant,
        xytext=(9, 6),
        textcoords="offset points",
        fontweight="bold",
        bbox={
            "boxstyle": "round,pad=0.15",
            "facecolor": "white",
            "alpha": 0.8,
            "linewidth": 0,
        },
        zorder=4,
    )

# %%

differences = clf.coef_[:2] - clf.coef_[2]
meeting = np.linalg.solve(differences, clf.intercept_[2] - clf.intercept_[:2])
print(f"the lines meet at grade {meeting[0]:.2f}, score {meeting[1]:.2f}")
print("probabilities there:", np.round(clf.predict_proba([meeting])[0], 4))

# %%
# The probability changes gradually across a boundary. Along a fixed score of 79, from left to right:

fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
line = np.column_stack([np.linspace(2.5, 5, 200), np.full(200, 79.0)])
for name, probs, style, colour in zip(
    classes, clf.predict_proba(line).T, STYLES, COLOURS, strict=True
):
    ax.plot(line[:, 0], probs, style, color=colour, linewidth=2, label=name)
ax.axvline(4.3, color="0.5", linewidth=1)
ax.set(xlabel="grade point average, at an exam score of 79", ylabel="probability")
ax.legend(loc="center left")
