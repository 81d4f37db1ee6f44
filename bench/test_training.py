"""Training and inference beside scikit-learn, PyTorch and Keras, each in a process of its own.

`python bench/training.py` measures the same in turns, on the whole of the data, and prints a table.
"""

import pytest
import training

pytest.importorskip("sklearn")
pytestmark = pytest.mark.benchmark(max_time=1.0, min_rounds=3, warmup=False)

N_ROWS = 6_000
N_ROWS_CHECKED = 3_000  # when nothing is timed

PARAMETERS = [
    pytest.param(case, name, id=f"{name}-{case}")
    for case in training.CASES
    for name in training.MODULES
    if training.offers(name, case)
]


@pytest.mark.parametrize(("case", "name"), PARAMETERS)
def test_training(benchmark, case, name):
    pytest.importorskip(training.MODULES[name])
    n_rows = N_ROWS_CHECKED if benchmark.disabled else N_ROWS
    with training.Worker(name, case, n_rows=n_rows) as worker:
        benchmark.group = case
        benchmark.extra_info.update(contender=name, accuracy=worker.accuracy)
        benchmark(worker.run)
