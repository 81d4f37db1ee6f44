"""Benchmarks with pytest-benchmark: every operation, shape and contender, grouped by the first two.

    python -m bench suite                  run all of it and print the table of ratios
    pytest bench/ -k "8192x1000"           a part of it, with pytest-benchmark's own table
    pytest bench/ --benchmark-disable      check every contender on a few rows; nothing is timed

The contenders and the exact results are those of `python -m bench table`, which lets the contenders take turns.
"""

import pytest

import fastsoftmax
from fastsoftmax._measuring import contenders, operations
from fastsoftmax._measuring.beside_peers import Subject, check, inputs

from . import peers

SHAPES = (*operations.SHAPES, (128, 128256))
CHECKED_ELEMENTS = 1 << 16  # of logits when nothing is timed
PRESENT, ABSENT = contenders.installed(peers.IN_ONE_PROCESS)


def pytest_report_header(config):
    info = fastsoftmax.backend_info()
    lines = [f"fastsoftmax: {info['backend']} {info['isa']}, {info['threads']} threads"]
    lines += [f"{peer.name} {contenders.version(peer.distribution)}" for peer in PRESENT[1:]]
    return [*lines, *(f"without {name}: {reason}" for name, reason in ABSENT.items())]


def pytest_generate_tests(metafunc):
    """Make a test for each shape, operation of the module, and contender that offers it."""
    if "contender" not in metafunc.fixturenames:
        return
    cases = [
        pytest.param(shape, operation, peer, id=f"{shape[0]}x{shape[1]}-{operation}-{peer.name}")
        for shape in SHAPES
        for operation in metafunc.module.OPERATIONS
        for peer in PRESENT
        if hasattr(peer, operation)
    ]
    metafunc.parametrize(("shape", "operation", "contender"), cases)


@pytest.fixture
def compare(benchmark):
    """Check a contender's result, then time it."""

    def compare(shape, operation, contender):
        if benchmark.disabled:
            shape = (max(1, min(shape[0], CHECKED_ELEMENTS // shape[1])), shape[1])
        errors = check([Subject(contender)], operation, shape, "float32")
        benchmark.group = f"{operation} {shape[0]}x{shape[1]}"
        benchmark.extra_info.update(contender=contender.name, ulp=errors[contender.name])
        benchmark(getattr(contender, operation)(*inputs(shape, "float32")))

    return compare
