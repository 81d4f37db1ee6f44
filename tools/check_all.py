"""Run targets of make, some side by side, go on after one that fails, and print what each took.

python tools/check_all.py --at-once 2 sanitize test soak

What a target prints goes to build/check-all/TARGET.log.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

LOGS = Path("build/check-all")
MAKES_OWN = re.compile(r"make(\[\d+\])?: ")
"""How lines start that make says itself; a target that skips itself says "make TARGET: skipped"."""


class Outcome(NamedTuple):
    """How a target ended."""

    target: str
    code: int
    seconds: float
    last_line: str

    def __str__(self):
        minutes, seconds = divmod(round(self.seconds), 60)
        return f"{self.target:<12} {self.word:<7}  {minutes:3}:{seconds:02}  {self.last_line}"

    @property
    def word(self):
        """Whether it failed, skipped itself ("make arm: skipped, qemu is missing") or passed."""
        if self.code:
            return "FAILED"
        return "skipped" if self.last_line.startswith(f"make {self.target}: skipped") else "passed"


def last_line(log):
    """Return the last line of a log that says something, without pytest's frame and make's own words."""
    lines = [line.strip("= \n") for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line and not MAKES_OWN.match(line)), "")


def run(target, make):
    """Run one target and return its outcome."""
    log, start = LOGS / f"{target}.log", time.monotonic()
    with log.open("w") as file:
        code = subprocess.run([make, target], stdout=file, stderr=subprocess.STDOUT).returncode
    return Outcome(target, code, time.monotonic() - start, last_line(log)[:120])


def run_and_report(target, make):
    """Run one target, print how it ended, and return that."""
    outcome = run(target, make)
    print(outcome, flush=True)
    if outcome.code:
        text = (LOGS / f"{target}.log").read_text(errors="replace")
        print(f"--- the end of {LOGS / target}.log\n{text[-3000:]}---", flush=True)
    return outcome


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="targets side by side")
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="of make; the longest first")
    args = parser.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    make, start = os.environ.get("MAKE", "make"), time.monotonic()
    with ThreadPoolExecutor(args.at_once) as pool:
        outcomes = list(pool.map(partial(run_and_report, make=make), args.targets))
    print("\nSummary")
    for outcome in outcomes:
        print(outcome)
    failed = [outcome.target for outcome in outcomes if outcome.code]
    print(Outcome("check-all", bool(failed), time.monotonic() - start, " ".join(failed)))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
