"""Measure what calls cost where they are made: beside other libraries, on a busy machine, with fresh results.

python bench/neighbours.py                    everything; a few minutes
python bench/neighbours.py pairs fresh        these parts: pairs, busy, first, fresh
python bench/neighbours.py --import torch     a library that is imported before fastsoftmax
python bench/neighbours.py --threads 4        another number of threads
python bench/neighbours.py --seconds 0.02     only tries the command

pairs   a product of NumPy and cross_entropy_with_grad, in turns: the time of the pair over the sum of both alone
        ("1.00" is perfect). `waiting` is a pair of the product and of a loop that only waits as long as our call takes:
        what the product itself loses by not being called at once. With PyTorch, torch.softmax in our place.
busy    single calls of softmax(out=): quiet, with one thread, and while another process uses one core
first   the first calls of a new process, over those of one thread: NumPy's threads spin for a while after import
fresh   softmax(x) over softmax(x, out=): the cost of memory; also with the last four results alive
"""

import argparse
import functools
import importlib
import statistics
import subprocess
import sys
import time

import numpy as np

PAIRS = (
    (256, 512, 1000),
    (128, 784, 1000),
    (1024, 784, 10),
    (2048, 256, 2000),
    (32, 768, 32000),
    (4096, 64, 100),
)
SINGLE = ((256, 1000, 4000), (65536, 10, 1500), (8192, 1000, 400))
FRESH = ((256, 1000), (65536, 10), (65536, 100), (8192, 1000), (4096, 4096), (512, 32000))

FIRST_CALLS = """
import time, numpy as np, fastsoftmax as fs
x = np.random.default_rng(0).standard_normal((256, 1000), dtype=np.float32)
out, times = np.empty_like(x), []
for _ in range(60):
    start = time.perf_counter()
    fs.softmax(x, out=out, n_threads={n_threads})
    times.append(time.perf_counter() - start)
print(sorted(times[1:])[29] * 1e6)
"""


def each_call(call, n):
    """Return the times of n calls in microseconds, sorted."""
    times = []
    for _ in range(n):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e6)
    return sorted(times)


def median(call, seconds):
    """Return the median time of a call in microseconds, from turns of some milliseconds."""
    start = time.perf_counter()
    call()
    call()
    repeats = max(1, int(0.004 / max((time.perf_counter() - start) / 2, 1e-7)))
    times, end = [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        times.append((time.perf_counter() - start) / repeats * 1e6)
    return statistics.median(times)


def wait(microseconds):
    """Keep the calling thread busy."""
    end = time.perf_counter() + microseconds * 1e-6
    while time.perf_counter() < end:
        pass


def in_turn(first_call, second_call):
    first_call()
    second_call()


def pairs(fs, args):
    """Print a line a shape: product and loss, alone and in turns."""
    rng = np.random.default_rng(0)
    torch = sys.modules.get("torch")
    for rows, features, classes in PAIRS:
        x = rng.standard_normal((rows, features), dtype=np.float32)
        weight = rng.standard_normal((features, classes), dtype=np.float32) * np.float32(0.05)
        logits, targets = x @ weight, rng.integers(0, classes, rows)
        grad = np.empty_like(logits)
        product = functools.partial(np.matmul, x, weight, out=logits)
        calls = {"ours": functools.partial(fs.cross_entropy_with_grad, logits, targets, out=grad)}
        alone = median(product, args.seconds)
        times = {"ours": median(calls["ours"], args.seconds)}
        calls["waiting"], times["waiting"] = functools.partial(wait, times["ours"]), times["ours"]
        if torch is not None:
            calls["torch.softmax"] = functools.partial(torch.softmax, torch.from_numpy(logits), 1)
            times["torch.softmax"] = median(calls["torch.softmax"], args.seconds)
        line = f"{rows}x{features}x{classes}:"
        for name, call in calls.items():
            together = median(functools.partial(in_turn, product, call), args.seconds)
            line += f"  {name} {together / (alone + times[name]):.2f}"
        print(f"{line}   (product {alone:.0f} us, ours {times['ours']:.0f} us)", flush=True)


def busy(fs, args):
    """Print the distribution of single calls."""
    rng = np.random.default_rng(0)
    for rows, classes, n in SINGLE:
        n = n if args.seconds >= 0.5 else 20
        x = rng.standard_normal((rows, classes), dtype=np.float32)
        call = functools.partial(fs.softmax, x, out=np.empty_like(x))
        print_distribution(f"{rows}x{classes} quiet", each_call(call, n))
        print_distribution("one thread", each_call(functools.partial(call, n_threads=1), n))
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            time.sleep(0.3)
            print_distribution("one core taken", each_call(call, n))
        finally:
            other.kill()
            other.wait()


def print_distribution(name, times):
    n = len(times)
    tail = f"p50 {times[n // 2]:.0f}  p90 {times[int(n * 0.9)]:.0f}  p99 {times[int(n * 0.99)]:.0f}"
    print(f"{name:>22}: {tail}  worst {times[-1]:.0f}  mean {sum(times) / n:.0f} us", flush=True)


def first(fs, args):
    """Print how long the calls of a new process take."""
    times = {}
    for n_threads in (None, 1):
        command = [sys.executable, "-c", FIRST_CALLS.format(n_threads=n_threads)]
        runs = [
            subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(5)
        ]
        times[n_threads] = statistics.median(float(run.stdout) for run in runs)
    print(
        f"calls 2 to 60 of a process, 256x1000: {times[None]:.0f} us, "
        f"one thread {times[1]:.0f} us, ratio {times[None] / times[1]:.2f}"
    )


def fresh(fs, args):
    """Print what a fresh result costs beside one that is written to an existing array."""
    rng = np.random.default_rng(1)
    n = 60 if args.seconds >= 0.5 else 5
    for rows, classes in FRESH:
        x = rng.standard_normal((rows, classes), dtype=np.float32)
        kept = []

        def keep(x=x, kept=kept):
            kept.append(fs.softmax(x))
            del kept[:-4]

        into = each_call(functools.partial(fs.softmax, x, out=np.empty_like(x)), n)
        ours, held = each_call(lambda x=x: fs.softmax(x), n), each_call(keep, n)
        middle = n // 2
        print(
            f"{rows}x{classes}: fresh / out {ours[middle] / into[middle]:.2f}, four alive "
            f"{held[middle] / into[middle]:.2f}, worst call {ours[-1] / ours[middle]:.1f} medians "
            f"(out {into[middle] / 1e3:.2f} ms)",
            flush=True,
        )


PARTS = {part.__name__: part for part in (pairs, busy, first, fresh)}


def main(argv=None):
    parser = argparse.ArgumentParser(description="Measure calls beside other libraries.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--import", dest="imported", metavar="LIBRARY", help="before ours")
    parser.add_argument("--threads", type=int, help="of our calls")
    parser.add_argument("--seconds", type=float, default=1.5, help="for each figure, about (1.5)")
    args = parser.parse_args(argv)
    unknown = [name for name in args.parts if name not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    if args.imported:
        importlib.import_module(args.imported)
    import fastsoftmax as fs

    fs.set_num_threads(args.threads)
    for name in args.parts or PARTS:
        print(f"\n{name}: {PARTS[name].__doc__}")
        PARTS[name](fs, args)


if __name__ == "__main__":
    main()
