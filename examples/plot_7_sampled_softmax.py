"""
7. Candidate sampling
=====================

A softmax over 50,000 words costs 50,000 dot products a row, and most of them for words that nobody
asked about. Candidate sampling trains with the right word and a few others drawn at random. This
tutorial measures what that saves, and what it costs in quality.
"""

import os
import time

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator
from threadpoolctl import threadpool_limits

import fastsoftmax as fs

plt.style.use("fastsoftmax.plots.style")

# sphinx_gallery_thumbnail_number = 2

SMALL = os.environ.get("FASTSOFTMAX_EXAMPLES_SMALL") == "1"  # a quick run, for tests
N_WORDS = 5000 if SMALL else 50_000
N_FEATURES = 32 if SMALL else 64
BATCH = 256
SECONDS = 0.5 if SMALL else 6.0  # of training, for each way

# Everything in one thread: what is compared is work, not how well it is shared out.
limits = threadpool_limits(1)

# %%
# The data
# --------
# Words sorted by frequency: the word at place c occurs about 1 / (c + 1) as often as the first, as
# in a natural language (Zipf's law). Every word has a direction in feature space; a context is the
# direction of the word that follows, under noise. For such data the best possible classifier is
# known, and it is a softmax of a linear layer: so we know which loss can be reached.

rng = np.random.default_rng(0)
directions = (0.5 * rng.standard_normal((N_WORDS, N_FEATURES))).astype(np.float32)
log_frequency = np.log(np.log1p(1 / np.arange(1, N_WORDS + 1)) / np.log(N_WORDS + 1))


def draw_contexts(n, rng):
    """Return features (n, N_FEATURES) and the word that follows each, (n,)."""
    words = np.exp(rng.random(n) * np.log(N_WORDS + 1)).astype(np.int64) - 1
    words = np.clip(words, 0, N_WORDS - 1)
    noise = rng.standard_normal((n, N_FEATURES), dtype=np.float32)
    return directions[words] + noise, words


X_test, y_test = draw_contexts(1000, rng)
best_bias = (log_frequency - np.square(directions).sum(axis=1) / 2).astype(np.float32)
best_loss = float(
    fs.linear_cross_entropy(X_test, directions, y_test, linear_bias=best_bias)
)
share = np.exp(log_frequency[:10]).sum()
print(f"{N_WORDS:,} words; the ten most frequent make up {share:.0%} of a text")
print(f"loss of equal probabilities {np.log(N_WORDS):.2f},", end=" ")
print(f"of the best possible model {best_loss:.2f}")

# %%
# An estimate of the loss
# -----------------------
# Drawn words stand for all others: each counts 1 / (its probability to be drawn) times. The sampler
# prefers frequent words, as the text does. The more words are drawn, the less the estimate
# scatters, and the nearer its mean is to the exact loss.

sizes = [8, 32, 128, 512, 2048]
x, y = X_test[:BATCH], y_test[:BATCH]
weight, bias = 0.5 * directions, best_bias
exact = fs.linear_cross_entropy(x, weight, y, linear_bias=bias)
estimate = fs.sampled_softmax_cross_entropy
estimates = np.array([
    [estimate(x, weight, y, k, linear_bias=bias, seed=seed) for seed in range(30)]
    for k in sizes
])  # fmt: skip
print(f"exact loss {exact:.3f}")
for k, values in zip(sizes, estimates, strict=True):
    print(f"{k:5} words drawn: {values.mean():.3f} on average,", end=" ")
    print(f"standard deviation {values.std():.3f}")


def seconds_of(function, repeats=5):
    """Return the median time of a call, after one to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


cost = [
    seconds_of(lambda k=k: fs.sampled_softmax_cross_entropy_with_grad(
        x, weight, y, k, linear_bias=bias, seed=0))
    for k in sizes
]  # fmt: skip
full_cost = seconds_of(
    lambda: fs.linear_cross_entropy_with_grad(x, weight, y, linear_bias=bias)
)


def plain_ticks(axis):
    """Label 1, 2 and 5 of each power of ten of a logarithmic axis, in plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")


fig, axes = plt.subplots(1, 2, figsize=(9, 3.6))
axes[0].axhline(exact, color="black", lw=1.5, label="full softmax")
means, deviations = estimates.mean(axis=1), estimates.std(axis=1)
label = "sampled: mean and standard deviation"
axes[0].errorbar(sizes, means, deviations, fmt="o", capsize=4, label=label)
axes[0].set(
    xscale="log",
    xlabel="words drawn",
    ylabel="loss of one batch",
    title="quality of the estimate",
)
axes[1].axhline(1000 * full_cost, color="black", lw=1.5, label="full softmax")
axes[1].plot(sizes, 1000 * np.array(cost), "o-", color="C0", label="sampled")
axes[1].set(
    xscale="log",
    yscale="log",
    xlabel="words drawn",
    ylabel="milliseconds",
    title="cost of loss and gradients",
)
for ax in axes:
    ax.set_xticks(sizes, [str(k) for k in sizes])
    ax.minorticks_off()
    ax.grid(alpha=0.3)
    ax.legend(fontsize=9)
plain_ticks(axes[1].yaxis)
print(f"loss and gradients: full {1000 * full_cost:.1f} ms,", end=" ")
print(f"{sizes[2]} words {1000 * cost[2]:.2f} ms")

# %%
# Training
# --------
# The full softmax gives a gradient for every word. The sampled one gives rows for the words that it
# has touched, and only those are changed: that is where the time is saved. Both use Adagrad, which
# divides the step of each weight by the root of its summed squares, and both get the same time. The
# quality is the loss of the *full* softmax on contexts not trained on: nobody is interested in the
# sampled loss itself.

RATE, EPSILON = 0.3, 1e-8


class Layer:
    """A linear layer and Adagrad's sums."""

    def __init__(self):
        self.weight, self.bias = (
            np.zeros_like(directions),
            log_frequency.astype(np.float32),
        )
        self.weight_sums, self.bias_sums = (
            np.zeros_like(self.weight),
            np.zeros_like(self.bias),
        )

    def update(self, rows, grad_weight, grad_bias):
        """Take a step in some rows, or in all of them with a slice."""
        for value, sums, grad in (
            (self.weight, self.weight_sums, grad_weight),
            (self.bias, self.bias_sums, grad_bias),
        ):
            sums[rows] += grad * grad
            value[rows] -= RATE * grad / (np.sqrt(sums[rows]) + EPSILON)

    def test_loss(self):
        """Return the loss of the full softmax on the test rows."""
        return float(
            fs.linear_cross_entropy(X_test, self.weight, y_test, linear_bias=self.bias)
        )


def train(num_sampled):
    """Return seconds, test losses and steps of a training; None is the full softmax."""
    rng, layer = np.random.default_rng(1), Layer()
    spent, steps, next_look = 0.0, 0, 0.0
    times, losses = [], []
    while spent < SECONDS:
        if spent >= next_look:
            times.append(spent)
            losses.append(layer.test_loss())
            next_look = max(0.02, spent * 1.25)
        x, y = draw_contexts(BATCH, rng)
        start = time.perf_counter()
        if num_sampled is None:
            _, _, grad_weight, grad_bias = fs.linear_cross_entropy_with_grad(
                x, layer.weight, y, linear_bias=layer.bias
            )
            layer.update(slice(None), grad_weight, grad_bias)
        else:
            _, _, rows, grad_weight, grad_bias = (
                fs.sampled_softmax_cross_entropy_with_grad(
                    x, layer.weight, y, num_sampled, linear_bias=layer.bias, seed=rng
                )
            )
            layer.update(rows, grad_weight, grad_bias)
        spent += time.perf_counter() - start
        steps += 1
    return [*times, spent], [*losses, layer.test_loss()], steps


runs = {"full softmax": train(None)}
for k in (32, 256, 2048):
    runs[f"{k} words drawn"] = train(k)
print(f"after {SECONDS} s of training:")
for name, (_, losses, steps) in runs.items():
    print(f"{name:18} {steps:7,} steps of {BATCH} rows, loss {losses[-1]:.3f}")
print(f"{'best possible':18} {'':27} loss {best_loss:.3f}")

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.9), sharey=True)
for (name, (times, losses, steps)), style in zip(
    runs.items(), ("k-", "C0--", "C1-.", "C2:"), strict=True
):
    axes[0].plot(times[1:], losses[1:], style, lw=2, label=name)
    axes[1].plot(np.array(times[1:]) / times[-1] * steps, losses[1:], style, lw=2)
for ax, title in zip(axes, ("seconds of training", "steps"), strict=True):
    ax.axhline(best_loss, color="gray", lw=1, label="best possible")
    ax.set(xscale="log", xlabel=title)
    ax.minorticks_off()
    ax.grid(alpha=0.3)
axes[0].set_ylabel("full loss on new contexts")
plain_ticks(axes[0].xaxis)
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
limits.restore_original_limits()

fs.plots.show()

# %%
# What to take home
# -----------------
# - A sampled step costs what its sample costs, whatever the size of the vocabulary. Step for step
#   the full softmax learns more, second for second it depends: look at the left picture.
# - The sampled loss is for training. Evaluate with the full softmax, which
#   `fastsoftmax.linear_cross_entropy` computes without storing the logits.
# - The sampler has to fit the data: "log_uniform" expects classes sorted by falling frequency. For
#   classes in no order take ``sampler="uniform"``.
