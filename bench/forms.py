"""Every form of every function beside PyTorch's for the same form.

    python -m bench forms                           32 x 10 and 1024 x 10, about 3 minutes
    python -m bench forms --shape 8192x1000         another shape; may be repeated
    python -m bench forms -k where                  the forms whose function or name contains this
    python -m bench forms --huge-pages --compiled   also PyTorch with THP_MEM_ALLOC_ENABLE=1, and under torch.compile
    python -m bench forms --write                   and write the table of docs/performance.md

PyTorch runs in a process of its own; results are compared before they are timed.
"""

from functools import partial

import numpy as np

from fastsoftmax._measuring import contenders, disturbance
from fastsoftmax._measuring.contenders import OURS
from fastsoftmax._measuring.results import make_report, make_row
from fastsoftmax._measuring.timer import Turn, alternate

from . import form_cases, options, results, table
from .peers import HUGE_PAGES
from .results import Layout, our_share, shape_of
from .workers import Worker, WorkerError

FORMS = tuple(form_cases.forms())
SHAPES = ((32, 10), (1024, 10))
PAGE = results.ROOT / "docs" / "performance.md"
TOLERANCES = {2: 5e-3, 4: 1e-3, 8: 1e-6}
"""By the bytes of a number; an error is meant to be found, not a rounding."""

LAYOUT = Layout(
    heads=("function", "form", "shape"),
    case=lambda row: (row["operation"], row["form"], shape_of(row)),
    cell=our_share,
    width=46,
    note="The median time of a call; of PyTorch in brackets our time as a share of it.",
)


class Library:
    """The calls of one library: makes them by the numbers of the forms, tells results, takes turns."""

    def __init__(self, library):
        self._library = library
        self._of_shape = (None, None)
        self._turn = self._call = None
        if library != OURS:
            import torch

            import fastsoftmax as fs

            torch.set_num_threads(fs.get_num_threads())
            torch._dynamo.config.recompile_limit = 64

    def prepare(self, number, shape):
        """Make the call of a form."""
        if self._of_shape[0] != shape:
            arrays = form_cases.Arrays(*shape)
            self._of_shape = (
                shape,
                arrays if self._library == OURS else form_cases.Tensors(arrays),
            )
        form, arguments = FORMS[number], self._of_shape[1]
        self._call = form.ours(arguments) if self._library == OURS else form.theirs(arguments)
        if self._library == "PyTorch, compiled":
            import torch

            torch._dynamo.reset()
            self._call = torch.compile(self._call, dynamic=False)
        self._turn = Turn(self._call)

    def results(self):
        """Return the arrays and numbers of the call."""
        got = self._call()
        parts = got if isinstance(got, tuple) else (got,)
        return [np.asarray(part) for part in parts if part is not None]

    def turn(self):
        return self._turn()


class LibraryApart:
    """The same in a process of its own."""

    def __init__(self, library, environment=None):
        self._worker = Worker(Library, library, environment=environment)
        self.pid = self._worker.pid

    def prepare(self, number, shape):
        self._worker.ask("prepare", number, shape)

    def results(self):
        return self._worker.ask("results")

    def turn(self):
        return self._worker.ask("turn")

    def close(self):
        self._worker.close()


def add_arguments(parser):
    options.add_common_arguments(parser, 150, "how long to measure in all")
    options.add_report_arguments(parser, "docs/performance.md's table")
    parser.add_argument("--shape", action="append", type=table.shape, metavar="ROWSxCLASSES")
    parser.add_argument("-k", default="", metavar="TEXT", help="forms that contain this")
    parser.add_argument("--huge-pages", action="store_true", help="PyTorch with huge pages, too")
    parser.add_argument("--compiled", action="store_true", help="PyTorch under torch.compile, too")


def run(args):
    """Measure or read; print, and write."""
    report = options.report_of(args, start, LAYOUT)
    if args.write:
        results.save(report, results.ROOT / "docs" / "benchmarks" / "forms.json")
        results.write_between(PAGE, "forms", page_table(report))
        print(f"wrote {PAGE.relative_to(results.ROOT)}")


def start(args):
    """Start PyTorch's processes; return the report and its rows."""
    wanted = {"PyTorch": {}}
    if args.huge_pages:
        wanted["PyTorch, huge pages"] = HUGE_PAGES
    if args.compiled:
        wanted["PyTorch, compiled"] = {}
    libraries, absent = {}, {}
    for name, environment in wanted.items():
        try:
            libraries[name] = LibraryApart(name, environment)
        except (ImportError, RuntimeError) as error:
            absent[name] = contenders.reason("torch", error)
    versions = dict.fromkeys(libraries, contenders.version("torch") if libraries else "")
    report = make_report(versions, absent)
    return report, rows(args, {OURS: Library(OURS), **libraries})


def rows(args, libraries):
    """Measure form after form, each for an equal share of the seconds."""
    shapes = args.shape or (SHAPES[:1] if args.small else SHAPES)
    numbers = [n for n, form in enumerate(FORMS) if args.k in f"{form.function} {form.name}"]
    todo = [(number, shape) for shape in shapes for number in numbers]
    budget = options.Budget(
        0.02 * len(todo) if args.small else args.seconds, len(todo), 1 if args.small else args.tries
    )
    children = [one.pid for one in libraries.values() if hasattr(one, "pid")]
    try:
        for number, shape in todo:
            yield budget.measure(partial(measure, libraries, children, number, shape))
    finally:
        for one in libraries.values():
            if hasattr(one, "close"):
                one.close()


def measure(libraries, children, number, shape, seconds):
    """Compare and time one form on one shape; return its row."""
    form = FORMS[number]
    present = {}
    for name, library in libraries.items():
        try:
            library.prepare(number, shape)
            present[name] = library
        except (RuntimeError, NotImplementedError) as error:  # PyTorch may lack a dtype
            if name == OURS or isinstance(error, WorkerError):
                raise
            results.tell(f"{name} lacks {form.function}, {form.name}: {error}")
    expected = present[OURS].results()
    for name, library in present.items():
        if name != OURS:
            compare(f"{form.function}, {form.name}, {name}", expected, library.results())
    watch = disturbance.Watch(children)
    timings = alternate({name: one.turn for name, one in present.items()}, seconds)
    case = {
        "operation": form.function,
        "form": form.name,
        "n_rows": shape[0],
        "n_classes": shape[1],
    }
    row = make_row(case, timings)
    return {**row, "disturbed": watch.reasons() + disturbance.suspicions(timings, OURS)}


def compare(name, ours, theirs):
    """Raise unless both libraries have the same numbers."""
    if len(ours) != len(theirs):
        raise AssertionError(f"{name}: {len(ours)} results, PyTorch has {len(theirs)}")
    for one, other in zip(ours, theirs, strict=True):
        tolerance = TOLERANCES[min(one.dtype.itemsize, other.dtype.itemsize)]
        np.testing.assert_allclose(
            one.astype(np.float64).reshape(other.shape),
            other.astype(np.float64),
            rtol=tolerance,
            atol=tolerance * max(1e-6, np.abs(other[np.isfinite(other)]).max(initial=0)),
            err_msg=name,
        )


def page_table(report):
    """Return the table of docs/performance.md: a row a form, two columns a shape."""
    shapes = list(dict.fromkeys(shape_of(row) for row in report["rows"]))
    by_form = {}
    for row in report["rows"]:
        by_form.setdefault((row["operation"], row["form"]), {})[shape_of(row)] = row
    lines = ["| form | " + " | ".join(f"{shape}, us | ratio" for shape in shapes) + " |"]
    lines.append("|---|" + "---|---|" * len(shapes))
    for (function, form), found in by_form.items():
        name = function if form == "plain" else f"{function}, {form}"
        lines.append(
            f"| {name} | " + " | ".join(page_cells(found.get(shape)) for shape in shapes) + " |"
        )
    return (
        "\n".join(lines) + f"\n\n{results.machine_of(report)} {results.stars_of(report)}".rstrip()
    )


def page_cells(row):
    """Return our microseconds and our share of PyTorch's time."""
    if row is None:
        return "- | -"
    peer = row["peers"].get("PyTorch")
    mark = f" {results.MARK}" if row["disturbed"] else ""
    ratio = results.three_digits(1 / peer["ratio"]) if peer else "-"
    return f"{results.three_digits(row['seconds'] * 1e6)}{mark} | {ratio}"
