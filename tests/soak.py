"""Mixed calls from several threads, with forks, for as long as wanted: results stay right and memory stays flat.

python tests/soak.py --seconds 600 --threads 8

Memory is compared while no thread calls and the pool of results is empty: once the first fifth of the time is over, and
at the end. Wrong bits and growth by more than `--megabytes` end it with exit code 1.
"""

import argparse
import ctypes
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


class Callers:
    """Threads that make calls until they are stopped; none is in a call while `paused`."""

    def __init__(self, made, n_threads):
        self.made, self.failures, self.counts = made, [], [0] * n_threads
        self.is_over, self._turns = False, [threading.Lock() for _ in range(n_threads)]
        self._threads = [threading.Thread(target=self._work, args=(k,)) for k in range(n_threads)]
        for thread in self._threads:
            thread.start()

    def _work(self, number):
        rng = np.random.default_rng(number)
        while not self.is_over and not self.failures:
            call, want = self.made[rng.integers(len(self.made))]
            n_threads = int(rng.integers(1, 6))
            with self._turns[number]:
                if not np.array_equal(call(n_threads), want, equal_nan=True):
                    self.failures.append((number, n_threads))
            self.counts[number] += 1

    def memory(self):
        """Return the memory in use in MB while all threads wait and no result is kept."""
        for turn in self._turns:
            turn.acquire()
        limit = fs.backend_info()["result_pool"]["limit"]
        fs.set_result_pool(0)
        if sys.platform == "linux":
            give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
            if give_back is not None:
                give_back(0)
        found = resident()
        fs.set_result_pool(limit)
        for turn in self._turns:
            turn.release()
        return found

    def stop(self):
        """End the threads."""
        self.is_over = True
        for thread in self._threads:
            thread.join()


def child(made, seed):
    """What a forked process does: some calls, on a team of its own."""
    rng = np.random.default_rng(seed)
    for _ in range(10):
        call, want = made[rng.integers(len(made))]
        if not np.array_equal(call(3), want, equal_nan=True):
            os._exit(1)
    os._exit(0)


def fork_until(end, callers, n_forks):
    """Fork once in 50 ms until `end`, and return how many forks there have been."""
    while time.monotonic() < end and not callers.failures:
        pid = os.fork()
        if pid == 0:
            child(callers.made, n_forks)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            callers.failures.append(("child", n_forks))
        n_forks += 1
        time.sleep(0.05)
    return n_forks


def resident():
    """Return the memory in use, in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--megabytes", type=float, default=1, help="growth that is too much")
    args = parser.parse_args()
    made = jobs(np.random.default_rng(args.seed))
    begin, callers = time.monotonic(), Callers(made, args.threads)
    n_forks = fork_until(begin + args.seconds / 5, callers, 0)
    start = callers.memory()
    n_forks = fork_until(begin + args.seconds, callers, n_forks)
    end = callers.memory()
    callers.stop()
    print(f"{sum(callers.counts)} calls, {n_forks} forks, memory {start:.1f} -> {end:.1f} MB")
    if callers.failures:
        sys.exit(f"wrong: {callers.failures}")
    if end - start > args.megabytes:
        sys.exit(f"memory grew by {end - start:.1f} MB, more than {args.megabytes:g}")


if __name__ == "__main__":
    main()
