"""
A small GPT on the CPU, one import changed
==========================================

A language model of two layers learns the text of Python's own help pages, which the module ``pydoc_data`` ships. It has
the vocabulary of GPT-2, 50,257 classes, so most of a training step is the last layer and its loss. The same model
takes the same steps with three losses:

- ``torch.nn.functional.cross_entropy``;
- ``fastsoftmax.torch.cross_entropy``, the same call by another import;
- ``fastsoftmax.torch.linear_cross_entropy``, which takes the last layer with it and never stores its logits.

Run ``python examples/torch_and_dask/gpt_cpu.py``, or with ``FASTSOFTMAX_EXAMPLES_SMALL=1`` for a few seconds.
"""

import os
import re
import time
from collections import Counter
from pydoc_data.topics import topics

import torch
import torch.nn.functional as F

from fastsoftmax.torch import cross_entropy, linear_cross_entropy

SMALL = bool(os.environ.get("FASTSOFTMAX_EXAMPLES_SMALL"))
N_CLASSES = 2_000 if SMALL else 50_257
BATCH, LENGTH, WIDTH, HEADS = (2, 32, 32, 2) if SMALL else (8, 64, 128, 4)
N_STEPS = 3 if SMALL else 12

# %%
# The text: words, spaces and signs, the most frequent first. It holds fewer kinds than there are classes; the others
# are never a target, as most words of a large vocabulary are not in most batches.

words = re.findall(r"\w+|\s+|[^\w\s]", " ".join(topics.values()))
known = {
    word: i for i, (word, _) in enumerate(Counter(words).most_common(N_CLASSES - 1))
}
tokens = torch.tensor([known.get(word, N_CLASSES - 1) for word in words])
print(f"{len(tokens):,} tokens of {len(known):,} kinds, {N_CLASSES:,} classes")


# %%
# The model returns the features that the last layer, ``head``, takes.


class Layer(torch.nn.Module):
    """Attention to earlier tokens, and two linear layers, each added to what it reads."""

    def __init__(self):
        super().__init__()
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(WIDTH) for _ in range(2))
        self.queries = torch.nn.Linear(WIDTH, 3 * WIDTH)
        self.out = torch.nn.Linear(WIDTH, WIDTH)
        self.wide = torch.nn.Sequential(
            torch.nn.Linear(WIDTH, 4 * WIDTH),
            torch.nn.GELU(),
            torch.nn.Linear(4 * WIDTH, WIDTH),
        )

    def forward(self, x):
        """Return features of the shape of x."""
        parts = self.queries(self.norms[0](x)).chunk(3, dim=2)
        heads = [one.unflatten(2, (HEADS, -1)).transpose(1, 2) for one in parts]
        seen = F.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.wide(self.norms[1](x))


class GPT(torch.nn.Module):
    """Two layers between an embedding and a linear layer without bias."""

    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(N_CLASSES, WIDTH)
        self.places = torch.nn.Embedding(LENGTH, WIDTH)
        self.layers = torch.nn.Sequential(Layer(), Layer(), torch.nn.LayerNorm(WIDTH))
        self.head = torch.nn.Linear(WIDTH, N_CLASSES, bias=False)

    def forward(self, tokens):
        """Return features (batch * length, width)."""
        x = self.words(tokens) + self.places(torch.arange(tokens.shape[1]))
        return self.layers(x).flatten(0, 1)


# %%
# Three losses of the same features.


def with_pytorch(model, features, targets):
    """Return the loss of PyTorch."""
    return F.cross_entropy(model.head(features), targets)


def with_cross_entropy(model, features, targets):
    """Return the loss by one other import."""
    return cross_entropy(model.head(features), targets)


def with_linear_cross_entropy(model, features, targets):
    """Return the loss of the last layer and its logits at once."""
    return linear_cross_entropy(features, model.head.weight, targets)


LOSSES = {
    "PyTorch": with_pytorch,
    "cross_entropy": with_cross_entropy,
    "linear_cross_entropy": with_linear_cross_entropy,
}


def batch(step):
    """Return tokens and the tokens that follow them."""
    starts = torch.randint(
        len(tokens) - LENGTH - 1,
        (BATCH,),
        generator=torch.Generator().manual_seed(step),
    )
    rows = torch.stack([tokens[start : start + LENGTH + 1] for start in starts])
    return rows[:, :-1], rows[:, 1:].flatten()


class Training:
    """A model, its optimizer, and what its steps gave."""

    def __init__(self, loss):
        torch.manual_seed(0)
        self.loss, self.model = loss, GPT()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.losses, self.seconds = [], []

    def step(self, number):
        """Take one step, and note its loss and its time."""
        inputs, targets = batch(number)
        start = time.perf_counter()
        self.optimizer.zero_grad()
        loss = self.loss(self.model, self.model(inputs), targets)
        loss.backward()
        self.optimizer.step()
        self.seconds.append(time.perf_counter() - start)
        self.losses.append(loss.item())


# %%
# The three take turns, step by step, so that all meet the same machine.

runs = {name: Training(loss) for name, loss in LOSSES.items()}
for number in range(N_STEPS):
    for run in runs.values():
        run.step(number)

middle = {name: sorted(run.seconds)[N_STEPS // 2] for name, run in runs.items()}
print(
    f"{'':22}{'first loss':>12}{'last loss':>12}{'ms a step':>12}{'times as fast':>15}"
)
for name, run in runs.items():
    ratio = middle["PyTorch"] / middle[name]
    print(
        f"{name:22}{run.losses[0]:12.5f}{run.losses[-1]:12.5f}{middle[name] * 1e3:12.1f}{ratio:15.2f}"
    )

largest = max(
    abs(loss - want) / want
    for run in runs.values()
    for loss, want in zip(run.losses, runs["PyTorch"].losses, strict=True)
)
print(f"losses differ by at most {largest:.1e} of their value")
