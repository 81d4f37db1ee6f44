"""The C compiler of the tests and what runs its programs: this machine's own, or others, which `make cross` sets.

FASTSOFTMAX_TEST_CC=path         the compiler
FASTSOFTMAX_TEST_RUNNER=program  runs what it compiles: qemu or wine; where it is missing, programs are compiled only
"""

import os
import platform
import shutil
import subprocess

import pytest

HERE = shutil.which("gcc") or shutil.which("clang")
CC = os.environ.get("FASTSOFTMAX_TEST_CC", HERE)
RUNNER = os.environ.get("FASTSOFTMAX_TEST_RUNNER")


def system():
    """Return the processor and the system that programs are compiled for, as in x86_64-linux-gnu."""
    if CC == HERE:
        return platform.machine().replace("AMD64", "x86_64")
    asked = subprocess.run([CC, "-dumpmachine"], capture_output=True, text=True, check=True)
    return asked.stdout.strip()


def required():
    """Return the compiler, or skip the test."""
    return CC or pytest.skip("no compiler")


def run(program, *arguments, **options):
    """Run a program of the compiler, or skip the test where this machine cannot."""
    if RUNNER and not shutil.which(RUNNER):
        pytest.skip(f"compiled, not run: {RUNNER} is missing")
    command = [*([RUNNER] if RUNNER else []), program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)
