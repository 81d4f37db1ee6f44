"""What setup.py decides about compilers and processors, with compilers that are not there."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
if not (ROOT / "build_support").is_dir():
    pytest.skip("needs the source tree", allow_module_level=True)
pytest.importorskip("setuptools", minversion="77.0.1")
# At the end: processes inherit it, and the installed package comes first.
sys.path.append(str(ROOT))
from build_support import targets  # noqa: E402
from build_support.compiler import CannotCompile, Compiler  # noqa: E402


class Pretended:
    """A compiler for an architecture that accepts any flags but some."""

    is_clang_cl = False

    def __init__(self, architecture, refused=()):
        self.architecture, self.refused = architecture, set(refused)

    def name(self):
        return "cc"

    def accepts(self, flags, program="", link_flags=()):
        return not self.refused & {*flags, *link_flags}

    first_accepted = Compiler.first_accepted


def test_x86_has_three_instruction_sets_and_a_plain_build_for_wheels():
    assert list(targets.isas_to_build(Pretended("x86_64"), "")[0]) == ["v2", "v3", "v4"]
    assert list(targets.isas_to_build(Pretended("x86_64"), "all")[0]) == ["plain", "v2", "v3", "v4"]
    assert targets.isas_to_build(Pretended("aarch64"), "") == ({"neon": []}, [])
    assert targets.isas_to_build(Pretended("other"), "all") == ({"plain": []}, [])


def test_a_compiler_without_levels_gets_their_features_by_name():
    levels = [f"-march=x86-64-v{level}" for level in (2, 3, 4)]
    isas, left_out = targets.isas_to_build(Pretended("x86_64", levels), "")
    assert left_out == []
    assert isas["v2"] == targets.V2
    assert "-mavx2" in isas["v3"]
    assert "-mavx512vl" in isas["v4"]


def test_what_a_compiler_cannot_build_is_told():
    levels = [f"-march=x86-64-v{level}" for level in (2, 3, 4)]
    isas, left_out = targets.isas_to_build(Pretended("x86_64", [*levels, "-mavx512f"]), "")
    assert (list(isas), left_out) == (["v2", "v3"], ["v4"])
    isas, left_out = targets.isas_to_build(Pretended("x86_64", [*levels, "-mssse3"]), "")
    assert (list(isas), left_out) == (["plain"], ["v2", "v3", "v4"])


def test_instruction_sets_by_name():
    assert list(targets.isas_to_build(Pretended("x86_64"), "v4,plain")[0]) == ["v4", "plain"]
    with pytest.raises(SystemExit, match="must be of plain, v2, v3, v4 or all, got neon"):
        targets.isas_to_build(Pretended("x86_64"), "v4,neon")
    with pytest.raises(SystemExit, match="cc cannot compile for v4"):
        targets.isas_to_build(Pretended("x86_64", targets.WIDE), "v4")


@pytest.mark.parametrize(
    ("architecture", "says"), [("i386", "32-bit x86"), ("several", "one architecture at a time")]
)
def test_where_kernels_would_be_wrong_none_are_built(architecture, says):
    with pytest.raises(CannotCompile, match=says):
        targets.isas_to_build(Pretended(architecture), "")


def test_apples_clang_finds_libomp(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "LIBOMP_FOLDERS", (str(tmp_path), str(tmp_path / "none")))
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    apples = Pretended("aarch64")
    apples.accepts = lambda flags, program, link_flags: f"-I{tmp_path}/include" in flags
    compiling, linking = targets.openmp_flags(apples)
    assert compiling == ["-Xpreprocessor", "-fopenmp", f"-I{tmp_path}/include"]
    assert linking == [f"-L{tmp_path}/lib", f"-Wl,-rpath,{tmp_path}/lib", "-lomp"]
    choices = list(targets.libomp_flags({}))
    assert choices[0] == (["-Xpreprocessor", "-fopenmp"], ["-lomp"])
    assert len(choices) == 2


@pytest.mark.parametrize(
    ("machine", "given", "wanted"),
    [("arm64", "10.13", "macosx-11.0-arm64"), ("x86_64", "10.13", "macosx-10.13-x86_64")],
)
def test_a_universal_python_on_macos(monkeypatch, machine, given, wanted):
    monkeypatch.setattr(targets.sys, "platform", "darwin")
    monkeypatch.setattr(targets.sysconfig, "get_platform", lambda: "macosx-10.13-universal2")
    environment = {"MACOSX_DEPLOYMENT_TARGET": given}
    targets.build_for_one_architecture(environment, machine)
    assert environment["ARCHFLAGS"] == f"-arch {machine}"
    assert environment["_PYTHON_HOST_PLATFORM"] == wanted
    environment = {"ARCHFLAGS": "-arch x86_64"}
    targets.build_for_one_architecture(environment, machine)
    assert environment == {"ARCHFLAGS": "-arch x86_64"}


def run_setup(monkeypatch, **environment):
    """Ask setup.py for its version in such an environment."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code = "import setup; print(len(setup.extensions_or_none()))"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_no_compiler_is_two_sentences(monkeypatch):
    done = run_setup(monkeypatch, CC="/nowhere/cc", FASTSOFTMAX_COMPILED="")
    assert (done.returncode, done.stdout) == (0, "0\n")
    assert done.stderr == (
        "fastsoftmax: No C compiler was found (/nowhere/cc does not work). fastsoftmax is installed without "
        "compiled kernels; its NumPy and Numba back ends do the work, more slowly.\n"
    )


def test_no_compiler_is_an_error_where_one_is_demanded(monkeypatch):
    done = run_setup(monkeypatch, CC="/nowhere/cc", FASTSOFTMAX_COMPILED="1")
    assert done.returncode == 1
    assert done.stderr == (
        "FASTSOFTMAX_COMPILED=1: No C compiler was found (/nowhere/cc does not work).\n"
    )


def test_compiled_modules_may_be_declined(monkeypatch):
    done = run_setup(monkeypatch, FASTSOFTMAX_COMPILED="0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
