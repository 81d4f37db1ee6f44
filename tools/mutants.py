"""Change the code in one place at a time, and see whether a test fails: what survives is a check that no test needs.

    python tools/mutants.py fastsoftmax/_validate/_options.py -- tests/test_arguments.py tests/test_hints.py
    python tools/mutants.py --show fastsoftmax/_validate/_options.py

A process that has loaded the package and collected the tests forks for each mutant, which replaces the code of the
functions that it changes and runs the tests that reach the changed line. Comparisons are turned or made inclusive,
`and` becomes `or`, conditions false, numbers one more, exceptions of another class; statements and arguments of calls
are left out. Messages stay as they are. Survivors that are known, with the reason why no test can tell them from
the code, stand in tools/survivors.txt; any other is an error, and so is a line there that no mutant has.
"""

import argparse
import ast
import gc
import importlib.util
import os
import re
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

SURVIVORS = Path(__file__).with_name("survivors.txt")
ABOUT_TENSORS = re.compile(r"tensor|torch|bfloat16_of|negated|is_neg|is_conj")
SECONDS = 120
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
OTHER_ERRORS = {"TypeError": "ValueError", "ValueError": "TypeError", "IndexError": "ValueError"}


class Mutant(NamedTuple):
    """One change: where it is, what it is in words, and a function that makes it in the tree."""

    path: str
    function: str
    line: int
    change: str
    make: Callable

    def __str__(self):
        return f"{self.path}: {self.function}: {self.change}"


class Finder(ast.NodeVisitor):
    """Finds every change of a module that is worth a mutant."""

    def __init__(self, path):
        self.path, self.tree = path, ast.parse(Path(path).read_text(), path)
        self.function, self.found = [], []
        self.visit(self.tree)

    def leave_out(self, pattern):
        """Forget the mutants whose text a pattern is found in; return how many those are."""
        kept = [mutant for mutant in self.found if not pattern.search(str(mutant))]
        n_left_out, self.found = len(self.found) - len(kept), kept
        return n_left_out

    def add(self, node, after, make):
        """Keep a change of a node, described as `before -> after`."""
        if not self.function:
            return  # what runs at import alone is not changed
        before = " ".join(ast.unparse(node).split("\n")[0].split())
        name = ".".join(self.function)
        self.found.append(Mutant(self.path, name, node.lineno, f"{before} -> {after}", make))

    def replace(self, node, field, new):
        """Keep the change of a field of a node."""
        old = getattr(node, field)
        setattr(node, field, new)
        after = " ".join(ast.unparse(ast.fix_missing_locations(node)).split("\n")[0].split())
        setattr(node, field, old)
        self.add(node, after, lambda: setattr(node, field, new))

    def visit_FunctionDef(self, node):
        self.function.append(node.name)
        self.statements(node.body)
        self.function.pop()

    def visit_ClassDef(self, node):
        self.function.append(node.name)
        for child in node.body:
            self.visit(child)
        self.function.pop()

    def statements(self, body):
        """Visit the statements of a block, and leave out each that is a call."""
        for i, child in enumerate(body):
            is_text = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            if isinstance(child, (ast.Expr, ast.AugAssign)) and not is_text:
                gone = ast.copy_location(ast.Pass(), child)
                self.add(child, "pass", lambda i=i, gone=gone: body.__setitem__(i, gone))
            if not is_text:
                self.visit(child)

    def generic_visit(self, node):
        for _, value in ast.iter_fields(node):
            if isinstance(value, ast.AST):
                self.visit(value)
            elif value and isinstance(value, list) and isinstance(value[0], ast.stmt):
                self.statements(value)
            elif isinstance(value, list):
                for child in value:
                    if isinstance(child, ast.AST):
                        self.visit(child)

    def visit_JoinedStr(self, node):
        """Leave messages alone."""

    def visit_Raise(self, node):
        call = node.exc
        if isinstance(call, ast.Call) and getattr(call.func, "id", None) in OTHER_ERRORS:
            other = ast.Name(OTHER_ERRORS[call.func.id], ast.Load())
            self.replace(call, "func", other)
        elif node.exc is not None and not isinstance(call, ast.Call):
            self.visit(node.exc)

    def visit_If(self, node):
        self.without(node)
        self.generic_visit(node)

    def visit_IfExp(self, node):
        self.without(node)
        self.generic_visit(node)

    def without(self, node):
        """Make a condition false."""
        self.replace(node, "test", ast.copy_location(ast.Constant(False), node.test))

    def visit_Compare(self, node):
        for i, op in enumerate(node.ops):
            if type(op) in COMPARISONS:
                ops = [*node.ops[:i], COMPARISONS[type(op)](), *node.ops[i + 1 :]]
                self.replace(node, "ops", ops)
        for i, right in enumerate(node.comparators):
            if isinstance(right, ast.Constant) and isinstance(right.value, str):
                self.letters(node, i, right)
        self.generic_visit(node)

    def letters(self, node, i, right):
        """Leave out each letter of a string that something is compared with: dtype.kind in "biu"."""
        for at in range(len(right.value) if len(right.value) < 8 else 0):
            less = ast.copy_location(ast.Constant(right.value[:at] + right.value[at + 1 :]), right)
            rights = [*node.comparators[:i], less, *node.comparators[i + 1 :]]
            self.replace(node, "comparators", rights)

    def visit_BoolOp(self, node):
        self.replace(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for i in range(len(node.values)):
            left = [*node.values[:i], *node.values[i + 1 :]]
            self.replace(node, "values", left if len(left) > 1 else left * 2)
        self.generic_visit(node)

    def visit_BinOp(self, node):
        if type(node.op) in ARITHMETIC:
            self.replace(node, "op", ARITHMETIC[type(node.op)]())
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, (ast.USub, ast.Not, ast.Invert)):
            nothing = ast.UAdd() if not isinstance(node.op, ast.Not) else None
            if nothing is not None:
                self.replace(node, "op", nothing)
            else:
                twice = ast.copy_location(ast.UnaryOp(ast.Not(), node.operand), node)
                self.replace(node, "operand", twice)
        self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, bool):
            self.replace(node, "value", not node.value)
        elif isinstance(node.value, (int, float)):
            self.replace(node, "value", node.value + 1)

    def visit_Return(self, node):
        if node.value is not None and not (
            isinstance(node.value, ast.Constant) and node.value.value is None
        ):
            self.replace(node, "value", ast.copy_location(ast.Constant(None), node.value))
        self.generic_visit(node)

    def visit_Call(self, node):
        for i in range(len(node.keywords)):
            self.replace(node, "keywords", [*node.keywords[:i], *node.keywords[i + 1 :]])
        self.generic_visit(node)


def codes_within(code):
    """Yield the code objects of the functions in a code object, by name and first line."""
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield (each.co_name, each.co_firstlineno), each
            yield from codes_within(each)


def install(tree, path):
    """Give the functions of a loaded module the code of a changed tree."""
    new = dict(codes_within(compile(ast.fix_missing_locations(tree), path, "exec")))
    real = os.path.realpath(path)
    for function in gc.get_objects():
        if type(function) is types.FunctionType:
            code = function.__code__
            key = (code.co_name, code.co_firstlineno)
            if key in new and os.path.realpath(code.co_filename) == real:
                function.__code__ = new[key]


class Runner:
    """A plugin of pytest that runs the collected tests once for each mutant that they reach."""

    def __init__(self, finders, n_jobs):
        self.finders, self.n_jobs = finders, n_jobs
        self.reached = {}
        self.outcomes, self.running = {}, {}

    def pytest_runtestloop(self, session):
        """Run everything unchanged, then the mutants."""
        self.trace(session)
        mutants = [(mutant, finder) for finder in self.finders for mutant in finder.found]
        for number, (mutant, finder) in enumerate(mutants):
            items = self.tests_of(session.items, mutant)
            if not items:
                self.outcomes[mutant] = "not reached"
                continue
            while len(self.running) >= self.n_jobs:
                self.wait()
            self.running[self.fork(session, items, finder.tree, mutant)] = mutant
            print(f"\r{number + 1} of {len(mutants)}", end="", file=sys.stderr, flush=True)
        while self.running:
            self.wait()
        return True

    def trace(self, session):
        """Run every test in a process of its own kind, unchanged; note which lines each reaches."""
        from _pytest.runner import runtestprotocol

        paths = {os.path.realpath(finder.path): finder.path for finder in self.finders}
        for item in session.items:
            reached = set()

            def local(frame, event, _, reached=reached):
                if event == "line":
                    reached.add((paths[frame.f_code.co_filename], frame.f_lineno))
                return local

            def start(frame, *_, local=local, reached=reached):
                if frame.f_code.co_filename not in paths:
                    return None
                reached.add((paths[frame.f_code.co_filename], frame.f_lineno))
                return local

            sys.settrace(start)
            try:
                reports = runtestprotocol(item, nextitem=None, log=False)
            finally:
                sys.settrace(None)
            if any(report.failed for report in reports):
                print(reports[1].longreprtext if len(reports) > 1 else reports[0].longreprtext)
                sys.exit(f"{item.nodeid} fails without a change")
            for place in reached:
                self.reached.setdefault(place, set()).add(item)

    def tests_of(self, items, mutant):
        """Return the tests that reach the line of a mutant, in their order."""
        reaching = self.reached.get((mutant.path, mutant.line), ())
        return [item for item in items if item in reaching]

    def fork(self, session, items, tree, mutant):
        """Run tests with a mutant in a process of its own; return its number."""
        pid = os.fork()
        if pid:
            return pid
        from _pytest.runner import runtestprotocol

        signal.alarm(SECONDS)
        try:
            mutant.make()
            install(tree, mutant.path)
        except BaseException as error:
            print(f"{mutant}: {error!r}", file=sys.stderr)
            os._exit(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1), os.dup2(nowhere, 2)
        try:
            for item in items:
                reports = runtestprotocol(item, nextitem=None, log=False)
                if any(report.failed for report in reports):
                    os._exit(1)
            os._exit(0)
        except BaseException:
            os._exit(1)

    def wait(self):
        """Wait for one process and note how it ended."""
        pid, status = os.wait()
        if pid in self.running:
            mutant = self.running.pop(pid)
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 2:
                sys.exit(f"{mutant} cannot be made")
            self.outcomes[mutant] = "killed" if status else "survived"


def known_survivors(path=SURVIVORS):
    """Return the reasons of known survivors by their text: a block of lines, then a reason after `#`."""
    reasons, texts = {}, []
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith("# "):
            continue
        if line.startswith("    # "):
            reasons |= dict.fromkeys(texts, line.strip(" #"))
            texts = []
        elif line:
            texts.append(line)
    return reasons


def verdict(outcomes, paths, n_mutants):
    """Print the survivors that are not known; return the exit status."""
    known = known_survivors()
    every = len(outcomes) == n_mutants
    left = sorted({str(m) for m, how in outcomes.items() if how != "killed"})
    unknown = [text for text in left if text not in known]
    stale = [t for t in known if every and t.partition(":")[0] in paths and t not in left]
    for text in unknown:
        how = {how for mutant, how in outcomes.items() if str(mutant) == text}
        print(f"{text}    ({', '.join(sorted(how))})")
    for text in stale:
        print(f"no longer there: {text}")
    alive = [str(mutant) for mutant, how in outcomes.items() if how != "killed"]
    n_unknown = sum(text in unknown for text in alive)
    print(
        f"{len(outcomes)} mutants, {len(outcomes) - len(alive)} killed, "
        f"{len(alive) - n_unknown} survive for a reason, {n_unknown} without one"
    )
    return bool(unknown or stale)


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="+", metavar="MODULE")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--show", action="store_true", help="print the mutants alone")
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, tests = parser.parse_args(sys.argv[1:at]), sys.argv[at + 1 :]
    finders = [Finder(path) for path in args.modules]
    if importlib.util.find_spec("torch") is None:  # its tests skip themselves
        n_left_out = sum(finder.leave_out(ABOUT_TENSORS) for finder in finders)
        print(f"PyTorch is not installed: {n_left_out} mutants about tensors are left out")
    if args.show:
        print(*(mutant for finder in finders for mutant in finder.found), sep="\n")
        return 0
    import pytest

    runner = Runner(finders, args.jobs)
    options = ["-q", "-p", "no:cacheprovider", "-k", "not numba", "-p", "no:faulthandler"]
    status = pytest.main([*options, *tests], plugins=[runner])
    if status not in (0, 1):
        return int(status)
    n_mutants = sum(len(finder.found) for finder in finders)
    return verdict(runner.outcomes, args.modules, n_mutants)


if __name__ == "__main__":
    sys.exit(main())
