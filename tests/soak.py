"""Mixed calls from several threads, with forks, for as long as wanted: results stay right and memory stays flat.

python tests/soak.py --seconds 600 --threads 8
"""

import argparse
import os
import resource
import sys
import threading
import time

import numpy as np

import fastsoftmax as fs

SHAPES = [(3, 10), (400, 100), (5000, 10), (256, 1000), (40, 9000), (1, 200_000), (3000, 37)]


def jobs(rng):
    """Return (call, expected bits) pairs."""
    made = []
    for shape in SHAPES:
        x = (rng.standard_normal(shape) * 3).astype(rng.choice([np.float32, np.float64]))
        y = rng.integers(0, shape[1], shape[0])
        calls = [
            lambda n, x=x: fs.softmax(x, n_threads=n),
            lambda n, x=x: fs.log_softmax(x, axis=0, n_threads=n),
            lambda n, x=x: fs.logsumexp(x, n_threads=n),
            lambda n, x=x, y=y: fs.cross_entropy_with_grad(x, y, n_threads=n)[1],
            lambda n, x=x, y=y: np.asarray(fs.cross_entropy(x, y, z_loss=1e-3, n_threads=n)),
            lambda n, x=x: fs.entropy_with_logits(x, reduction="none", n_threads=n),
            lambda n, x=x: fs.sigmoid(x[::2], n_threads=n),
        ]
        made += [(call, call(1)) for call in calls]
    return made


def work(made, seed, end, failures, counts):
    rng = np.random.default_rng(seed)
    while time.monotonic() < end and not failures:
        call, want = made[rng.integers(len(made))]
        n_threads = int(rng.integers(1, 6))
        if not np.array_equal(call(n_threads), want, equal_nan=True):
            failures.append((seed, n_threads))
        counts[seed] += 1


def child(made, seed):
    """What a forked process does: some calls, on a team of its own."""
    rng = np.random.default_rng(seed)
    for _ in range(10):
        call, want = made[rng.integers(len(made))]
        if not np.array_equal(call(3), want, equal_nan=True):
            os._exit(1)
    os._exit(0)


def resident():
    """Return the memory in use, in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    made = jobs(np.random.default_rng(args.seed))
    end, failures, counts = time.monotonic() + args.seconds, [], [0] * args.threads
    threads = [
        threading.Thread(target=work, args=(made, seed, end, failures, counts))
        for seed in range(args.threads)
    ]
    for thread in threads:
        thread.start()
    time.sleep(min(20, args.seconds / 4))
    start, n_forks = resident(), 0
    while time.monotonic() < end - 1 and not failures:
        pid = os.fork()
        if pid == 0:
            child(made, n_forks)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            failures.append(("child", n_forks))
        n_forks += 1
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    fs.set_result_pool(0)
    print(f"{sum(counts)} calls, {n_forks} forks, memory {start:.0f} -> {resident():.0f} MB")
    if failures:
        sys.exit(f"wrong: {failures}")


if __name__ == "__main__":
    main()
