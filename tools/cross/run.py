"""Compile for other machines and run there what can be run here: the C programs of the tests, and the modules.

The programs are held to the bounds of tests/kernels and tests/runtime. Modules are compiled and not linked, with
CPython's headers beside tools/cross/pyconfig.h and NumPy's from its wheel for the system. Names of targets choose them.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FOLDER = ROOT / "build" / "cross"
ZIG = f"{sys.executable} -m ziglang cc -target"

# GCC where Clang multiplies by instructions that qemu 7.2 gets wrong (s390x: MDEBR, MXDBR), and where it has no numbers
# of 113 bits to judge by (powerpc64le). Its programs are static, so that qemu needs no libraries.
TARGETS = {
    "x86_64-linux-musl": (f"{ZIG} x86_64-linux-musl", None),
    "aarch64-linux-musl": (f"{ZIG} aarch64-linux-musl", "qemu-aarch64-static"),
    "riscv64-linux-musl": (f"{ZIG} riscv64-linux-musl", "qemu-riscv64-static"),
    "s390x-linux-gnu": ("s390x-linux-gnu-gcc -static", "qemu-s390x-static"),
    "powerpc64le-linux-gnu": ("powerpc64le-linux-gnu-gcc -static", "qemu-ppc64le-static"),
    "x86_64-windows-gnu": (f"{ZIG} x86_64-windows-gnu", "wine"),
    "aarch64-macos": (f"{ZIG} aarch64-macos", "macOS"),
    "x86_64-macos": (f"{ZIG} x86_64-macos", "macOS"),
}
NUMPY = {
    "x86_64-windows-gnu": "win_amd64",
    "aarch64-macos": "macosx_14_0_arm64",
    "x86_64-macos": "macosx_14_0_x86_64",
}
"""The platforms of NumPy's wheels; elsewhere its headers are those of this machine."""


def wrapper(target, command, headers):
    """Write a compiler of one word; zig calls x86-64-v3 x86_64_v3."""
    path = FOLDER / "compilers" / target
    path.parent.mkdir(parents=True, exist_ok=True)
    includes = " ".join(f"-I{folder}" for folder in headers)
    path.write_text(f'#!/bin/bash\nexec {command} {includes} "${{@//x86-64-v/x86_64_v}}"\n')
    path.chmod(0o755)
    return str(path)


def headers_of(target):
    """Return folders with the headers of CPython and, where they differ from this machine's, of NumPy."""
    python = FOLDER / "include"
    shutil.copytree(sysconfig.get_path("include"), python, dirs_exist_ok=True)
    shutil.copy(HERE / "pyconfig.h", python)
    if target not in NUMPY:
        return [python]
    site = FOLDER / "numpy" / NUMPY[target]
    if not site.exists():
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
        ]
        subprocess.run([*pip, "--platform", NUMPY[target], "--target", site, "numpy"], check=True)
    return [python, site / "numpy/_core/include"]


def run_programs(compiler, runner):
    """Compile, run and judge the programs of the tests. Return whether all is well."""
    environment = os.environ | {
        "FASTSOFTMAX_BACKEND": "numpy",  # whatever is built here
        "FASTSOFTMAX_TEST_CC": compiler,
        "WINEDEBUG": "-all",
    }
    if runner:
        environment["FASTSOFTMAX_TEST_RUNNER"] = runner
    tests = ["tests/kernels/test_kernels.py", "tests/runtime/test_team_protocol.py"]
    options = ["-q", "-rs", "-p", "no:cacheprovider", "-k", "not interleaving and not found"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


def compile_modules(target, compiler):
    """Compile the modules for every instruction set of the target, without a warning. Return whether all is well."""
    environment = os.environ | {
        "CC": compiler,
        "LDSHARED": "true",  # no Python to link with
        "FASTSOFTMAX_COMPILED": "1",
        "FASTSOFTMAX_ISAS": "all",
    }
    folder = FOLDER / "modules" / target
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        sys.executable,
        "setup.py",
        "-q",
        "build_ext",
        "--build-temp",
        folder,
        "--build-lib",
        folder,
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    told = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if "warning:" in line or "error:" in line
    ]
    print(*told, f"{len([*folder.rglob('*.o')])} modules compiled", sep="\n", flush=True)
    return done.returncode == 0 and not told


def main():
    """Go through the targets; exit with 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="target", default=[], help=", ".join(TARGETS))
    failed = []
    for target in parser.parse_args().targets or TARGETS:
        command, runner = TARGETS[target]
        print(f"== {target}", flush=True)
        if shutil.which(command.split()[0]) is None:
            print(f"make cross: skipped, {command.split()[0]} is missing")
            continue
        compiler = wrapper(target, command, headers_of(target))
        if not run_programs(compiler, runner) or not compile_modules(target, compiler):
            failed.append(target)
    sys.exit(f"make cross: failed for {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
