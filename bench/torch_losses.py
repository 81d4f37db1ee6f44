"""Compare fastsoftmax.torch with PyTorch: a loss forward and backward through autograd, eager.

python bench/torch_losses.py                 with the allocator as it is
python bench/torch_losses.py --huge-pages    PyTorch's allocator with huge pages, THP_MEM_ALLOC_ENABLE=1
python bench/torch_losses.py --seconds 0.1   only tries the command

Both run in turns, and each turn gives one ratio of times: printed are the median and the quartiles of these, and the
median times. Logits are float32, targets of int64, on all threads of each.
"""

import argparse
import os
import statistics
import sys
import time

SHAPES = ((32, 10), (1024, 10), (8192, 1000), (1024, 50257))
LAYER = (512, 256, 32000)
SWITCH = "THP_MEM_ALLOC_ENABLE"


def seconds_of(step, n_calls):
    """Return the time of one call, as the mean of n_calls."""
    start = time.perf_counter()
    for _ in range(n_calls):
        step()
    return (time.perf_counter() - start) / n_calls


def step_of(loss, leaves, others):
    """Return a function that computes the loss of leaves and others, and the gradients of the leaves."""

    def step():
        for leaf in leaves:
            leaf.grad = None
        loss(*leaves, *others).backward()

    return step


def compare(ours, theirs, seconds):
    """Return the ratios of times, ours over theirs, and the times of each."""
    for step in (ours, theirs, ours, theirs):
        step()
    n_calls = max(1, int(0.005 / seconds_of(theirs, 3)))
    ratios, times, end = [], ([], []), time.perf_counter() + seconds
    while time.perf_counter() < end or len(ratios) < 5:
        pair = seconds_of(ours, n_calls), seconds_of(theirs, n_calls)
        ratios.append(pair[0] / pair[1])
        for found, one in zip(times, pair, strict=True):
            found.append(one)
    return ratios, times


def report(name, ratios, times):
    """Print one line of the table."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    ours, theirs = (statistics.median(one) * 1e6 for one in times)
    print(f"{name:34} {ours:10.1f} {theirs:10.1f}   {middle:5.2f} ({low:.2f} to {high:.2f})")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="for each line; 4 by default")
    parser.add_argument("--huge-pages", action="store_true", help="set THP_MEM_ALLOC_ENABLE=1")
    args = parser.parse_args()
    if args.huge_pages and os.environ.get(SWITCH) != "1":  # PyTorch reads it when it is loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, SWITCH: "1"})

    import torch

    import fastsoftmax.torch as ours

    theirs = torch.nn.functional
    torch.manual_seed(0)
    print(
        f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {SWITCH}={os.environ.get(SWITCH, '')}"
    )
    print(f"{'forward and backward':34} {'ours us':>10} {'PyTorch us':>10}   ratio (quartiles)")
    for shape in SHAPES:
        logits = torch.randn(shape, requires_grad=True)
        targets = torch.randint(0, shape[1], shape[:1])
        steps = [step_of(module.cross_entropy, [logits], [targets]) for module in (ours, theirs)]
        report("cross_entropy " + "x".join(map(str, shape)), *compare(*steps, args.seconds))
    n_rows, n_features, n_classes = LAYER
    x = torch.randn(n_rows, n_features, requires_grad=True)
    weight = torch.randn(n_classes, n_features).mul_(0.05).requires_grad_()
    targets = torch.randint(0, n_classes, (n_rows,))

    def naive(x, weight, targets):
        return theirs.cross_entropy(theirs.linear(x, weight), targets)

    steps = [step_of(loss, [x, weight], [targets]) for loss in (ours.linear_cross_entropy, naive)]
    report("linear_cross_entropy " + "x".join(map(str, LAYER)), *compare(*steps, args.seconds))


if __name__ == "__main__":
    main()
