"""
A convolution net, where it does not pay
========================================

Ten classes, and thousands of products for each logit: the loss is less than a hundredth of the step, so a faster loss
changes nothing that can be measured. Keep ``torch.nn.functional`` here. The images are noise: this is about time alone.

Run ``python examples/torch_and_dask/convolution_net.py``, or with ``FASTSOFTMAX_EXAMPLES_SMALL=1`` for a few seconds.
"""

import os
import time

import torch
import torch.nn.functional as F

import fastsoftmax.torch

SMALL = bool(os.environ.get("FASTSOFTMAX_EXAMPLES_SMALL"))
BATCH, SIDE, N_STEPS = (8, 12, 3) if SMALL else (128, 28, 30)

LOSSES = {"PyTorch": F.cross_entropy, "fastsoftmax": fastsoftmax.torch.cross_entropy}


def net():
    """Return a net of two convolutions for images of one channel and ten classes."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(32, 64, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(64 * (SIDE // 4) ** 2, 10),
    )


# %%
# Both take turns. Noted are the step, and in it the loss with its backward pass down to the logits.

generator = torch.Generator().manual_seed(0)
images = torch.rand(BATCH, 1, SIDE, SIDE, generator=generator)
labels = torch.randint(10, (BATCH,), generator=generator)
nets = {name: net() for name in LOSSES}
optimizers = {
    name: torch.optim.SGD(one.parameters(), lr=0.05) for name, one in nets.items()
}
losses = {name: [] for name in LOSSES}
steps, parts = ({name: [] for name in LOSSES} for _ in range(2))
for _ in range(N_STEPS):
    for name, loss_of in LOSSES.items():
        start = time.perf_counter()
        optimizers[name].zero_grad()
        logits = nets[name](images)
        leaf = logits.detach().requires_grad_()
        before = time.perf_counter()
        loss = loss_of(leaf, labels)
        loss.backward()
        after = time.perf_counter()
        logits.backward(leaf.grad)
        optimizers[name].step()
        steps[name].append(time.perf_counter() - start)
        parts[name].append(after - before)
        losses[name].append(loss.item())

print(f"{'':14}{'last loss':>12}{'ms a step':>12}{'of it the loss':>16}")
for name in LOSSES:
    step, part = (sorted(times[name])[N_STEPS // 2] for times in (steps, parts))
    print(f"{name:14}{losses[name][-1]:12.5f}{step * 1e3:12.2f}{part / step:16.2%}")
