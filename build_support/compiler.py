"""The C compiler that will build the extensions, asked by giving it small programs.

GCC, Clang and clang-cl can build the kernels; Microsoft's cl cannot, since it lacks the vector extensions of C
that they are written in.
"""

import contextlib
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

import setuptools  # noqa: F401 (brings distutils, which Python 3.12 and newer lack)

from distutils.ccompiler import new_compiler  # isort: skip
from distutils.errors import CompileError, DistutilsError, LinkError  # isort: skip
from distutils.sysconfig import customize_compiler  # isort: skip

EMPTY = "int main(void) { return 0; }\n"
PYTHON = "#include <Python.h>\nint main(void) { return 0; }\n"
VECTORS = """
#if !defined(__GNUC__) && !defined(__clang__)
#error
#endif
#include <stdatomic.h>
typedef float floats __attribute__((vector_size(16)));
typedef double doubles __attribute__((vector_size(32)));
doubles widened(floats x) { return __builtin_convertvector(x, doubles); }
int main(void) { return 0; }
"""
ARCHITECTURES = {
    "x86_64": "defined(__x86_64__) || defined(_M_X64)",
    "aarch64": "defined(__aarch64__) || defined(_M_ARM64)",
    "i386": "defined(__i386__) || defined(_M_IX86)",
    "other": "!defined(__APPLE__)",  # where two architectures at once are none of them
}


class CannotCompile(Exception):
    """Why the kernels cannot be compiled here, as a sentence for whoever installs the package."""


class Compiler:
    """The compiler, ready to be asked.

    Raises
    ------
    CannotCompile
        If there is none, or none that can compile the kernels.
    """

    def __init__(self):
        self._tool = new_compiler()
        customize_compiler(self._tool)
        self.is_clang_cl = self._tool.compiler_type == "msvc"
        if self.is_clang_cl:
            prefer_clang_cl(self._tool)
        self._check()
        self.architecture = next(
            (name for name, test in ARCHITECTURES.items() if self._is(test)), "several"
        )

    def _check(self):
        if not self.accepts([]):
            raise CannotCompile(f"No C compiler was found ({self.name()} does not work).")
        if not self.accepts([], VECTORS):
            raise CannotCompile(
                f"{self.name()} lacks the vector extensions of C that the kernels are written in: "
                "GCC 9, Clang 10 or anything newer has them."
            )

    def check_headers(self):
        """Raise CannotCompile where Python's headers are missing."""
        if not self.accepts([], PYTHON):
            raise CannotCompile(
                "Python's headers (Python.h) were not found: Debian and Ubuntu have them in "
                "python3-dev, Fedora in python3-devel."
            )

    def _is(self, test):
        return self.accepts([], f"#if !({test})\n#error\n#endif\n{EMPTY}")

    def name(self):
        """Return what a person would call it."""
        if self.is_clang_cl:
            return "clang-cl"
        return " ".join(self._tool.compiler[:1]) or "cc"

    def accepts(self, flags, program=EMPTY, link_flags=None):
        """Return whether a program compiles with these flags, and links with those if they are given."""
        with tempfile.TemporaryDirectory() as folder, without_output():
            source = Path(folder, "probe.c")
            source.write_text(program)
            includes = [sysconfig.get_path("include"), sysconfig.get_path("platinclude")]
            try:
                objects = self._tool.compile(
                    [str(source)],
                    output_dir=folder,
                    include_dirs=includes,
                    extra_postargs=self.spelled(flags),
                )
                if link_flags is not None:
                    self._tool.link_executable(
                        objects, str(Path(folder, "probe")), extra_postargs=link_flags
                    )
            except (CompileError, LinkError, DistutilsError, OSError):
                return False
            return True

    def first_accepted(self, choices):
        """Return the first of several lists of flags that is accepted, or None."""
        return next((flags for flags in choices if self.accepts(flags)), None)

    def known(self, flags):
        """Return those of several flags that mean something: Clang warns of others and takes them."""
        # Not where what the user has in CFLAGS is warned of.
        strict = ["-Werror"] if self.accepts(["-Werror"]) else []
        return [flag for flag in flags if self.accepts([flag, *strict])]

    def spelled(self, flags):
        """Return flags of GCC as this compiler reads them."""
        if not self.is_clang_cl:
            return list(flags)
        return [flag if flag.startswith(("-D", "/")) else f"/clang:{flag}" for flag in flags]


def prefer_clang_cl(tool):
    """Make setuptools' Microsoft compiler call clang-cl, or say how to get it."""
    path = shutil.which(os.environ.get("CC", "clang-cl"))
    if path is None or "clang-cl" not in Path(path).name.lower():
        raise CannotCompile(
            "Microsoft's compiler lacks the vector extensions of C that the kernels are written in: "
            'install clang-cl (in Visual Studio\'s installer "C++ Clang tools for Windows") and put it on PATH.'
        )
    try:
        if not tool.initialized:
            tool.initialize()
    except DistutilsError as error:
        raise CannotCompile(f"clang-cl needs the libraries of Visual Studio ({error}).") from None
    tool.cc = path
    for options in (tool.compile_options, tool.compile_options_debug):
        options[:] = [option for option in options if option != "/GL"]


@contextlib.contextmanager
def without_output():
    """Keep what a compiler says about a probe from the log: most probes are meant to fail somewhere."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)
