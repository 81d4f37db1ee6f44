"""Check an installed wheel: compiled kernels, OpenMP, licences, right results; with --tests FOLDER some of the suite.

Run it in an environment that has the wheel, NumPy and no compiler, in a folder without the source tree.
"""

import argparse
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np

import fastsoftmax as fs

SHORT = ["test_special_values.py", "test_arguments.py", "test_layouts.py", "test_threads.py"]
MOST_BYTES = 3_000_000


def check():
    """Raise SystemExit with a sentence about the first thing that is wrong."""
    info = fs.backend_info()
    if info["backend"] != "cython" or not info["openmp"]["built"]:
        raise SystemExit(f"the wheel has no compiled kernels with OpenMP: {info}")
    built = [isa for isa, state in info["isas"].items() if "not built" not in state]
    if not {"plain", "neon"} & set(built):
        raise SystemExit(f"the wheel has no build for every processor, only {', '.join(built)}")
    files = importlib.metadata.files("fastsoftmax")
    if not any(file.name == "LICENSE" for file in files):
        raise SystemExit("the wheel lacks its licence")
    holds_libgomp = any("gomp" in file.name for file in files if ".libs" in str(file))
    if holds_libgomp and not any(file.name == "libgomp.txt" for file in files):
        raise SystemExit("the wheel holds libgomp, but not its licence")
    logits = np.random.default_rng(0).standard_normal((1000, 1000))
    terms = np.exp(logits.astype(np.longdouble))
    probs = terms / terms.sum(1, keepdims=True)
    if not np.allclose(fs.softmax(logits), probs.astype(float), rtol=1e-14, atol=0):
        raise SystemExit("softmax is wrong")
    print(f"{info['version']}: {', '.join(built)}; {info['isa']} is used; {len(files)} files")


def check_size(wheel):
    """Raise SystemExit if a wheel file is too large to be a dependency without a thought."""
    size = Path(wheel).stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{wheel} has {size} bytes, more than {MOST_BYTES}")
    print(f"{Path(wheel).name}: {size / 1e6:.2f} MB")


def main():
    """Check what is installed, then run what of the suite is short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", help="the file, to check its size")
    parser.add_argument("--tests", type=Path, help="folder of the tests")
    arguments = parser.parse_args()
    if arguments.wheel:
        check_size(arguments.wheel)
    check()
    if arguments.tests:
        config = arguments.tests.parent / "pyproject.toml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", config]
        command += ["-o", "filterwarnings=error"]  # the suite's own names a class of scikit-learn
        tests = [arguments.tests / name for name in SHORT]
        raise SystemExit(subprocess.run([*command, *tests], check=False).returncode)


if __name__ == "__main__":
    main()
