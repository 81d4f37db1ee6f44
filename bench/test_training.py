"""Training beside PyTorch, scikit-learn and Keras, each in a process of its own.

`python -m bench training` measures every network and batch size in turns, and prints a table.
"""

import importlib.util

import pytest

from . import training, training_contenders

pytest.importorskip("sklearn")
pytestmark = pytest.mark.benchmark(max_time=1.0, min_rounds=3, warmup=False)

N_IMAGES = 6_000
N_IMAGES_CHECKED = 3_000  # when nothing is timed
CASES = (training.Case((128,), 32, "adam"), training.Case((), 128, "sgd"))
NEEDS = {"Keras": ("tensorflow",)}
"""Modules beside a contender's own."""
CONTENDERS = ("fastsoftmax", "PyTorch", "scikit-learn", "Keras")


PARAMETERS = [
    pytest.param(
        case,
        name,
        id=f"{name}-{case.hidden}-{case.batch_size}-{case.solver}",
        marks=pytest.mark.skipif(
            any(
                importlib.util.find_spec(module) is None
                for module in (training_contenders.module_of(name), *NEEDS.get(name, ()))
            ),
            reason=f"{name} is not installed",
        ),
    )
    for case in CASES
    for name in CONTENDERS
    if training_contenders.offers(name, case)
]


@pytest.mark.parametrize(("case", "name"), PARAMETERS)
def test_training(benchmark, case, name):
    n_images = N_IMAGES_CHECKED if benchmark.disabled else N_IMAGES
    trainer = training.TrainerApart(name, n_images)
    try:
        trainer.prepare(case, n_images)
        benchmark.group = f"{case.hidden} {case.batch_size} {case.solver}"
        benchmark.extra_info.update(contender=name)
        benchmark(trainer.turn)
        trainer.turn()
        assert trainer.accuracy() > training.MIN_ACCURACY
    finally:
        trainer.close()
