"""
1. Handwritten digits
=====================

A small neural network learns to read digits: one hidden layer, five epochs, well under a minute. On
the way, two things that tutorials of this kind often get wrong: which loss belongs to ten classes,
and what flattening an image does.
"""

import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

import fastsoftmax as fs

plt.style.use("fastsoftmax.plots.style")

# A quick run, for tests.
SMALL = os.environ.get("FASTSOFTMAX_EXAMPLES_SMALL") == "1"

# The networks below learn for a few epochs, on purpose: without this line ``fit``
# would say that the loss still falls.
warnings.simplefilter("ignore", ConvergenceWarning)

# %%
# The data
# --------
# MNIST is 60,000 images of 28 x 28 pixels to learn from, and 10,000 to test with. It is used if its
# files are on this machine. Else the smaller digits of scikit-learn, 8 x 8 pixels, take its place, and
# the numbers below are theirs. Leave out ``download=False`` to fetch MNIST.

try:
    (X, y), (X_test, y_test) = fs.datasets.load_mnist(download=False)
    brightest = 255
    print("data: MNIST")
except FileNotFoundError:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    X, X_test, y, y_test = train_test_split(
        digits.images,
        digits.target,
        test_size=0.2,
        stratify=digits.target,
        random_state=0,
    )
    brightest = 16
    print("data: the digits of scikit-learn; MNIST is not on this machine")
if SMALL:
    X, y, X_test, y_test = X[:1000], y[:1000], X_test[:300], y_test[:300]
print(f"to learn from: {X.shape}, to test with: {X_test.shape}")
print(f"pixels from {X.min()} to {X.max()}")

# %%
fig, axes = plt.subplots(1, 10, figsize=(9, 1.4))
for ax, image, label in zip(axes, X[:10], y[:10], strict=True):
    ax.imshow(image)
    ax.set_title(str(label))
    ax.set_axis_off()

# %%
# Normalise
# ---------
# Pixels are divided by the brightest value, so that every input lies between 0 and 1. Then one
# learning rate suits all of them. (MNIST's bytes may also stay as they are: the estimators read
# images of ``uint8`` times 1/255 by themselves, and save a copy of the data.)

X, X_test = (np.float32(images) / brightest for images in (X, X_test))
print(f"pixels from {X.min()} to {X.max()}")

# %%
# Flattening keeps every pixel
# ----------------------------
# The network takes rows of numbers, so each image is written row after row. Some tutorials say that
# this "reduces" the image, or even that 784 values become 128. Flattening changes the shape and
# nothing else: all values are still there, in order, and can be folded back. It is the first layer of
# weights, after it, that turns them into 128.

rows = X.reshape(len(X), -1)
print(f"{X[0].shape} becomes {rows[0].shape}")
print(f"{X[0].size} values before, {rows[0].size} after")
print(
    "folded back, it is the same image:",
    np.array_equal(rows[0].reshape(X[0].shape), X[0]),
)

# %%
# The network
# -----------
# The pixels, 128 hidden units with ReLU, and 10 outputs under a softmax. Adam trains it in batches of
# 32. ``verbose=1`` prints a line per epoch, ``X_val`` adds the figures on images that it does not
# learn from.

clf = fs.MLPClassifier(
    (128,), solver="adam", batch_size=32, max_iter=5, random_state=0, verbose=1
)
clf.fit(rows, y, X_val=X_test, y_val=y_test)
sizes = [weights.shape[0] for weights in clf.coefs_] + [len(clf.classes_)]
n_parameters = sum(array.size for array in clf.coefs_ + clf.intercepts_)
print(f"\nlayers: {'-'.join(map(str, sizes))}, {n_parameters:,} parameters")

# %%
axes = fs.plots.plot_history(clf)

# %%
# How good is it?
# ---------------
# Accuracy is the share of test images that are read correctly. The confusion matrix says which digits
# are taken for which.

result = clf.evaluate(X_test, y_test)
print(f"test accuracy {result['accuracy']:.4f}, test loss {result['loss']:.4f}")
ax = fs.plots.plot_confusion_matrix(clf, X_test, y_test)

# %%
# The images that it gets wrong with the most confidence:

probs = clf.predict_proba(X_test)
predicted = clf.predict(X_test)
wrong = np.flatnonzero(predicted != y_test)
worst = wrong[np.argsort(-probs[wrong].max(axis=1))][:6]
fig, axes = plt.subplots(1, 6, figsize=(9, 2.2))
for ax in axes:
    ax.set_axis_off()
for ax, i in zip(axes[: len(worst)], worst, strict=True):
    ax.imshow(X_test[i])
    ax.set_title(
        f"is {y_test[i]}, read as {predicted[i]}\n({probs[i].max():.0%} sure)",
        fontsize=9,
    )

# %%
# Cross-entropy is the loss for many classes
# ------------------------------------------
# Some tutorials call cross-entropy a loss for two classes only, or train ten classes with the squared
# error. Cross-entropy works for any number of classes. For one image it is ``-log(p)``, where p is the
# probability that the model gives to the right digit: 0 if it is sure and right, large if it is sure
# and wrong. The other nine need no term of their own, because softmax makes all ten sum to 1.

i = int(worst[0]) if len(worst) else 0
logits = clf.decision_function(X_test[i : i + 1])
p_right = fs.softmax(logits)[0, y_test[i]]
loss = fs.cross_entropy(logits, y_test[i : i + 1].astype(int))
print(f"the first image above: p of the right digit {p_right:.3g}")
print(f"-log(p) = {-np.log(p_right):.4f}, cross_entropy = {loss:.4f}")

# %%
# A model that knows nothing gives each of ten digits 1/10, and its loss is log(10). That is what the
# loss of an untrained network should look like:

print(f"log(10) = {np.log(10):.4f}")
print(f"cross_entropy of equal logits = {fs.cross_entropy(np.zeros((1, 10)), [3]):.4f}")

fs.plots.show()

# %%
# Where to go on: :ref:`the next tutorial <sphx_glr_auto_examples_plot_2_fashion_mnist.py>` does the
# same step by step on clothes, and looks at what softmax is. On the command line all of this is
#
# .. code-block:: bash
#
#     .venv/bin/fastsoftmax train --dataset mnist --model mlp --epochs 5 --plots digits
