"""The primitives of the kernels in C alone, for each instruction set: exp, log1p, sums, tiles and vectors.

A program for each; what it prints is held to the bounds here and to the figures that the headers quote. With
FASTSOFTMAX_TEST_KERNELS=all every float there is goes through exp (`make kernels`), else every 1021st.
"""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import compiler
import pytest

HERE = Path(__file__).parent
SOURCES = HERE.parent.parent / "src_ext"
FLAGS = {
    "x86_64": {
        isa: [f"-march=x86-64-{isa}", "-mprefer-vector-width=512"] for isa in ("v2", "v3", "v4")
    },
    "s390x": {"z14": ["-march=z14"]},  # without it there are no vectors
}
TARGETS = FLAGS.get(compiler.system().partition("-")[0], {}) | {
    "generic": ["-DFASTSOFTMAX_GENERIC"]
}
# Elsewhere products are fused: the worst errors, which are no larger, lie at other numbers than those that are quoted.
ERRS_AS_QUOTED = "v2" in TARGETS
LEVELS = {"v2": 2, "v3": 3, "v4": 4}
LEVEL = '#include "runtime/machine.h"\nint main(void) { return x86_level(); }\n'
ALL = os.environ.get("FASTSOFTMAX_TEST_KERNELS") == "all"
EXTENDED = '#include "check.h"\n_Static_assert(HAS_LONG_DOUBLE, "");\n'

pytestmark = pytest.mark.skipif(not SOURCES.is_dir(), reason="the sources are not beside the tests")


@pytest.fixture(scope="module")
def level(tmp_path_factory):
    """Return the level of x86-64 of this machine, 0 elsewhere."""
    program = tmp_path_factory.mktemp("level") / "level"
    command = [
        compiler.HERE or compiler.required(), "-D_GNU_SOURCE", "-x", "c", "-I", str(SOURCES), "-", "-o", str(program),
    ]  # fmt: skip
    subprocess.run(command, input=LEVEL, text=True, check=True)
    return subprocess.run([program], check=False).returncode


@pytest.fixture(scope="module")
def has_extended(tmp_path_factory):
    """Return whether long double is wider than double, functions of it too."""
    source = tmp_path_factory.mktemp("long_double") / "extended.c"
    source.write_text(EXTENDED)
    command = [
        compiler.required(), "-c", "-I", str(HERE), str(source), "-o", str(source.with_suffix(".o")),
    ]  # fmt: skip
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0 or "HAS_LONG_DOUBLE" in built.stderr, built.stderr
    return built.returncode == 0


@pytest.fixture(scope="module", params=TARGETS)
def target(request, level):
    """Return the name of an instruction set that this machine has."""
    if LEVELS.get(request.param, 0) > level:
        pytest.skip(f"this processor has no {request.param}")
    return request.param


@pytest.fixture(scope="module")
def run(target, tmp_path_factory):
    """Return a function that compiles a program for the target, runs it, and reads what it prints."""
    folder = tmp_path_factory.mktemp(target)

    def run_program(name, *arguments):
        program = folder / name
        if not program.exists():
            command = [
                compiler.required(), "-std=gnu11", "-O2", "-Wall", "-Wno-unused-function", "-Wno-psabi",
                "-fno-math-errno", "-fno-trapping-math", *TARGETS[target], "-I", str(HERE), "-I", str(SOURCES),
                "-I", sysconfig.get_path("include"), str(HERE / f"{name}.c"), "-o", str(program), "-lm",
            ]  # fmt: skip
            built = subprocess.run(command, capture_output=True, text=True, check=False)
            if "-march" in built.stderr or "-mprefer" in built.stderr:
                pytest.skip(f"this compiler has no {target}")
            assert built.returncode == 0, built.stderr
            assert "warning" not in built.stderr, built.stderr
        done = compiler.run(program, *arguments)
        assert done.returncode == 0, done.stderr
        print(done.stdout)
        lines = [line.split() for line in done.stdout.splitlines()]
        return {name: (float(error), float.fromhex(at)) for name, error, at, _ in lines}

    return run_program


def quoted(header, target):
    """Return {name: (error, at)} of the figures that a header quotes for an instruction set."""
    isa = target if target in LEVELS else "v2"  # the generic functions round as those of v2
    text = (SOURCES / header).read_text()
    lines = re.findall(rf"^ \* +{isa} +(\w+) +([\d.]+) ULP at (\S+)$", text, re.MULTILINE)
    assert lines, f"{header} quotes nothing for {isa}"
    return {name: (float(error), float.fromhex(at)) for name, error, at in lines}


def test_exp(run, target, has_extended):
    quotes = quoted("math/exp.h", target)
    found = run("exp_test", 1 if ALL else 1021, 20_000_000 if ALL else 400_000)
    at_quoted = run("exp_test", "at", quotes["exp_f32"][1].hex(), quotes["exp_f64"][1].hex())
    names = ["exp_f32", "exp_f64"] if has_extended else ["exp_f32"]
    for name in names:
        if ERRS_AS_QUOTED:
            assert at_quoted[name][0] == pytest.approx(quotes[name][0], abs=0.05)
        assert found[name][0] <= quotes[name][0] + 0.02
        for frame in ("any_maximum", "with_temperature"):
            assert found[f"{name}_{frame}"][0] <= (1.04 if target == "v4" else 1.56)
    for name in ("exp_f32_beside_256", "exp_f32_beside_large"):
        assert found[name][0] <= quotes["exp_f32"][0] + 0.02
    if ALL and ERRS_AS_QUOTED:
        assert found["exp_f32"][0] == pytest.approx(quotes["exp_f32"][0], abs=0.05)


def test_log1p(run, target, has_extended):
    error, at = quoted("math/log1p.h", target)["log1p"]
    at_quoted = run("log1p_test", "at", at.hex())
    found = run("log1p_test", 50_000_000 if ALL else 500_000)
    if not has_extended:
        pytest.skip("long double is no wider than double")
    if ERRS_AS_QUOTED:
        assert at_quoted["log1p"][0] == pytest.approx(error, abs=0.05)
    if compiler.CC != compiler.HERE:  # which products are fused is the compiler's choice
        error = max(quoted("math/log1p.h", isa)["log1p"][0] for isa in LEVELS)
    assert found["log1p"][0] <= error + 0.02


SUMS = {
    "sum_f32": 2**-20,  # added in double
    "dot_f32": 2**-20,
    "sum_f64": 1.001,  # of the unit 2**-53: half an ULP or one
    "dot_f64": 1.001,
    "sum_of_a_lane_f64": 1.001,
    "sum_rest_f64": 2,  # two roundings
}


def test_sums(run):
    found = run("sums_test", 10_000 if ALL else 500)
    for name, bound in SUMS.items():
        assert found[name][0] <= bound, name
    for name in ("sum_f64_pair", "sum_of_a_lane_f64_pair"):
        assert found[name][0] <= 2**-20, name  # of 2**-64: they come in two parts


def test_pairs(run, has_extended):
    found = run("pairs_test", 20_000_000 if ALL else 100_000)
    for name in ("sum", "product", "quotient", "times", "wide"):
        assert found[name][0] <= 2**-30, name  # of 2**-64
    for name in ("exp_of_a_sum", "log1p_of_expm1"):
        assert found[name][0] <= 0.1, name
    for name in ("exp_beside_long_double", "log_beside_long_double"):
        assert not has_extended or found[name][0] <= 2.1, name  # the error of long double itself


def test_tiles(run):
    found = run("tiles_test")
    assert len(found) == 7


def test_vectors(run):
    found = run("vectors_test", 300_000, 1 if ALL else 1021)
    assert set(found) == {"vectors_f32", "vectors_f64", "float16", "from_float"}
