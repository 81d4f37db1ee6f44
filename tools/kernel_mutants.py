"""Change a C header of src_ext/ in one place at a time, compile the kernels with it, and see whether a test fails.

    python tools/kernel_mutants.py loss/binary.h -- tests/test_binary.py

Arithmetic, comparisons, numbers and the arguments of selections are changed, in the code of the widest instruction
set that this processor has. Known survivors, with the reason, stand in tools/survivors.txt, as for tools/mutants.py;
what does not compile does not count.
"""

import argparse
import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutants import Mutant, verdict

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "mutants"
SECONDS = 300
CHANGES = [
    (r" \+ ", (" - ",)), (r" - ", (" + ",)), (r" \* ", (" / ",)), (r" / ", (" * ",)), (r" < ", (" <= ", " > ")),
    (r" > ", (" >= ", " < ")), (r" <= ", (" < ",)), (r" >= ", (" > ",)), (r" == ", (" != ",)), (r" != ", (" == ",)),
    (r" \+= ", (" -= ", " = ")), (r" \*= ", (" /= ",)), (r" && ", (" || ",)), (r" \|\| ", (" && ",)),
    (r" & ", (" | ",)), (r" \| ", (" & ",)), (r"(?<![\w.])1\.0(?!\w)", ("2.0",)), (r"(?<![\w.])2\.0(?!\w)", ("1.0",)),
    (r"(?<![\w.\[])0(?![\w.\]])", ("1",)), (r"(?<![\w.\[])1(?![\w.\]])", ("0",)), (r"~", ("",)),
    (r"(?<=[(=] )-(?=\w)|(?<=\()-(?=\w)", ("",)), (r"\bnear\b", ("far",)), (r"\bfar\b", ("near",)),
    (r"\bselect_f64\((\w+), ", (r"select_f64(~\1, ",)),
    (r"\bif \(", ("if (0 && ", )), (r" \? (\S+) : ", (r" ? !\1 : ",)),
]  # fmt: skip


def code_lines(text):
    """Yield (number, line, function) of the lines that hold code: no comments, no preprocessor."""
    bare = re.sub(r"/\*.*?\*/", lambda c: re.sub(r"[^\n]", " ", c[0]), text, flags=re.DOTALL)
    function = "?"
    for number, line in enumerate(bare.split("\n")):
        name = re.match(r"(?:static|INLINE|    FN\()[^;]*?FN\((\w+)\)\(", line)
        name = name or re.match(r"    FN\((\w+)\)\(", line)
        if name:
            function = name[1]
        elif line.startswith("    ") and not line.lstrip().startswith("#"):
            yield number, line, function


def mutants_of(header):
    """Yield each mutant of a header and its whole text."""
    text = (ROOT / "src_ext" / header).read_text()
    lines = text.split("\n")
    for number, line, function in code_lines(text):
        for pattern, replacements in CHANGES:
            for match in re.finditer(pattern, line):
                for replacement in replacements:
                    new = line[: match.start()] + match.expand(replacement) + line[match.end() :]
                    before, after = (" ".join(code.split()) for code in (line, new))
                    mutant = Mutant(
                        f"src_ext/{header}", function, number + 1, f"{before} -> {after}", None
                    )
                    yield mutant, "\n".join([*lines[:number], new, *lines[number + 1 :]])


def translate(isa):
    """Translate the kernels to C; return the file and the command that compiles it to a module."""
    import numpy

    sys.path.insert(0, str(ROOT))
    from build_support.compiler import Compiler
    from build_support.targets import isas_to_build

    source = BUILD / f"kernels_{isa}.c"
    directives = (
        "language_level=3,boundscheck=False,wraparound=False,initializedcheck=False,cdivision=True"
    )
    translation = [
        sys.executable,
        "-m",
        "cython",
        "-X",
        directives,
        "-I",
        "src_ext",
        "src_ext/kernels.pyx",
    ]
    module = ["--module-name", f"fastsoftmax._ext.kernels_{isa}", "-o", str(source)]
    subprocess.run(translation + module, cwd=ROOT, check=True)
    march = isas_to_build(Compiler(), isa)[0][isa]
    macros = [
        "-DNDEBUG",
        "-DNPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION",
        "-DNPY_TARGET_VERSION=NPY_2_0_API_VERSION",
    ]
    safe = ["-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-fPIC", "-shared", "-w"]
    folders = [ROOT / "src_ext", numpy.get_include(), sysconfig.get_path("include")]
    flags = ["-std=gnu11", "-O0", *march, *macros, *safe]
    return source, flags, [f"-I{folder}" for folder in folders]


def try_mutant(number, header, text, isa, source, flags, folders, tests):
    """Compile the kernels with a changed header and run the tests; return how it ended."""
    folder = BUILD / str(number)
    (folder / header).parent.mkdir(parents=True, exist_ok=True)
    (folder / header).write_text(text)
    module = folder / f"kernels_{isa}.so"
    compiler = os.environ.get("CC", "gcc").split()
    command = [*compiler, *flags, f"-I{folder}", *folders, str(source), "-o", str(module)]
    if subprocess.run(command, capture_output=True).returncode:
        return "not compiled"
    command = [sys.executable, __file__, "--with-module", str(module), "--", *tests]
    try:
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "killed"
    finally:
        module.unlink(missing_ok=True)
    if result.returncode == 0:
        return "survived"
    if "kernels of " + str(module) not in result.stdout:
        sys.exit(f"the module was not loaded:\n{result.stdout}{result.stderr}")
    return "killed"


class FromFile:
    """Finds one compiled module in a file of its own."""

    def __init__(self, path):
        self.path, self.name = path, f"fastsoftmax._ext.{Path(path).stem}"

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        loader = importlib.machinery.ExtensionFileLoader(name, self.path)
        return importlib.util.spec_from_file_location(name, self.path, loader=loader)


def run_tests(module, tests):
    """Run tests of the compiled back end with its kernels taken from a file."""
    sys.meta_path.insert(0, FromFile(module))
    isa = Path(module).stem.removeprefix("kernels_")
    os.environ["FASTSOFTMAX_ISA"] = isa
    import pytest

    import fastsoftmax as fs
    from fastsoftmax import _compiled

    fs.softmax([1.0])
    print("kernels of", _compiled.load(f"kernels_{isa}").__file__, flush=True)
    others = " and not ".join(["numba", "numpy", *({"v4", "v3", "v2"} - {isa})])
    options = ["-x", "-q", "-p", "no:cacheprovider", "-k", f"not {others}"]
    return int(pytest.main([*options, *tests]))


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("header", nargs="?", help="within src_ext/")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--every", type=int, default=1, help="only each n-th of the mutants")
    parser.add_argument("--show", action="store_true", help="print the mutants alone")
    parser.add_argument("--with-module", help=argparse.SUPPRESS)
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, tests = parser.parse_args(sys.argv[1:at]), sys.argv[at + 1 :]
    if args.with_module:
        return run_tests(args.with_module, tests)
    found = list(mutants_of(args.header))[:: args.every]
    if args.show:
        print(*(mutant for mutant, _ in found), sep="\n")
        return 0
    import fastsoftmax as fs

    isa = fs.backend_info()["isa"]
    BUILD.mkdir(parents=True, exist_ok=True)
    common = (isa, *translate(isa), tests)
    unchanged = (ROOT / "src_ext" / args.header).read_text()
    if try_mutant("unchanged", args.header, unchanged, *common) != "survived":
        sys.exit("the tests fail without a change")
    outcomes = {}

    def judge(number):
        mutant, text = found[number]
        outcomes[mutant] = try_mutant(number, args.header, text, *common)
        print(f"{len(outcomes)} of {len(found)} {outcomes[mutant]}: {mutant}", file=sys.stderr)

    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(judge, range(len(found))))
    compiled = {mutant: how for mutant, how in outcomes.items() if how != "not compiled"}
    n_mutants = len(compiled) if args.every == 1 else None
    return verdict(compiled, [f"src_ext/{args.header}"], n_mutants)


if __name__ == "__main__":
    sys.exit(main())
