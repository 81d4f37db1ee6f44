"""fastsoftmax.torch beside PyTorch's own losses: forward and backward through autograd.

Columns are PyTorch as it comes, under torch.compile, and with THP_MEM_ALLOC_ENABLE=1, in a process of its own; for the
layer with its loss also PyTorch's chunks of rows. Logits are float32, targets int64.
"""

from functools import partial
from pathlib import Path

from fastsoftmax._measuring import contenders, disturbance
from fastsoftmax._measuring.contenders import OURS
from fastsoftmax._measuring.results import make_report, make_row
from fastsoftmax._measuring.timer import Turn, alternate
from fastsoftmax._measuring.units import duration, three_digits

from . import options
from .peers import HUGE_PAGES
from .results import Layout, our_share
from .workers import Worker

SHAPES = ((32, 10), (1024, 10), (8192, 1000), (1024, 50257))
LAYER = (512, 256, 32000)
FEW_ROWS = 16
PEER, COMPILED = "PyTorch", "PyTorch, compiled"
CHUNKS, HUGE = "PyTorch, chunks", "PyTorch, huge pages"
PEERS = (PEER, COMPILED, CHUNKS, HUGE)
STATUS, FORGET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def cell(row, name):
    """Return a peer's time, or its memory, and ours as a share of it."""
    peer = row["peers"].get(name)
    if peer is None or "megabytes" not in row:
        return our_share(row, name)
    return f"{megabytes_of(peer)} ({three_digits(row['megabytes'] / peer['megabytes'])})"


def megabytes_of(values):
    return f"{three_digits(values['megabytes'])} MB"


LAYOUT = Layout(
    heads=("loss, forward and backward", "shape"),
    case=lambda row: (row["operation"], row["shape"]),
    cell=cell,
    note="The median time of a step; of PyTorch in brackets our time as a share of it. Memory is what two steps add to "
    "that of a process.",
    ours=lambda row: megabytes_of(row) if "megabytes" in row else duration(row["seconds"]),
)


def add_arguments(parser):
    options.add_common_arguments(parser, 40, "how long to measure in all")


def run(args):
    options.report_of(args, start, LAYOUT)


def start(args):
    try:
        worker = Worker(Losses)
    except ImportError as error:
        return make_report({}, dict.fromkeys(PEERS, contenders.reason("torch", error))), ()
    version = contenders.version("torch")
    return make_report(dict.fromkeys(PEERS, version), {}), rows(args, worker)


def rows(args, worker):
    todo = [*SHAPES, LAYER]
    budget = options.Budget(
        0.1 * len(todo) if args.small else args.seconds, len(todo), 1 if args.small else args.tries
    )
    apart = Worker(Losses, environment=HUGE_PAGES)
    try:
        for shape in todo:
            shape = (min(shape[0], FEW_ROWS), *shape[1:]) if args.small else shape
            yield budget.measure(partial(measure, worker, apart, shape))
        if FORGET_PEAK.exists():
            yield memory(shape)
    finally:
        worker.close()
        apart.close()


def measure(worker, apart, shape, seconds):
    """Time a loss of logits, or of a layer whose shape has three sizes; return its row."""
    name = worker.ask("prepare", shape, True)
    apart.ask("prepare", shape, False)
    turns = {one: partial(worker.ask, "turn", one) for one in worker.ask("names")}
    turns[HUGE] = partial(apart.ask, "turn", PEER)
    watch = disturbance.Watch([worker.pid, apart.pid])
    timings = alternate(turns, seconds, min_turns=2)
    row = make_row({"operation": name, "shape": " x ".join(map(str, shape))}, timings)
    return {**row, "disturbed": watch.reasons() + disturbance.suspicions(timings, OURS)}


def memory(shape):
    """Return a row of what the steps of each contender add to the memory of a process of its own."""
    found = {}
    for name in (OURS, PEER, COMPILED, CHUNKS):
        worker = Worker(Losses)
        try:
            found[name] = worker.ask("megabytes", name, shape)
        except KeyError:  # an older PyTorch has no chunks
            continue
        finally:
            worker.close()
    return {
        "operation": "its memory",
        "shape": " x ".join(map(str, shape)),
        "megabytes": found.pop(OURS),
        "peers": {name: {"megabytes": value} for name, value in found.items()},
        "disturbed": [],
    }


class Losses:
    """The losses of both libraries, in the process of their tensors."""

    def __init__(self):
        import torch

        import fastsoftmax as fs
        import fastsoftmax.torch as ours

        torch.set_num_threads(fs.get_num_threads())
        self._torch, self._ours, self._theirs = torch, ours, torch.nn.functional
        self._turns = {}

    def prepare(self, shape, with_compiled):
        """Compare the losses of a shape and make them ready to be timed; return the name of ours."""
        name = "cross_entropy" if len(shape) == 2 else "linear_cross_entropy"
        steps = self.steps(shape)
        if not with_compiled:
            steps = {one: steps[one] for one in (OURS, PEER)}
        want = steps[OURS]()
        for peer, step in steps.items():
            self.compare(peer, want, step())
        self._turns = {one: Turn(step) for one, step in steps.items()}
        return name

    def names(self):
        return list(self._turns)

    def turn(self, name):
        """Return the seconds of one step."""
        return self._turns[name]()

    def steps(self, shape):
        """Return steps of each contender: a loss and the gradients of its leaves."""
        torch, theirs = self._torch, self._theirs
        torch.manual_seed(0)
        targets = torch.randint(0, shape[-1], shape[:1])
        compiled = partial(torch.compile, dynamic=False)
        if len(shape) == 2:
            leaves = [torch.randn(shape, requires_grad=True)]
            losses = {
                OURS: self._ours.cross_entropy,
                PEER: theirs.cross_entropy,
                COMPILED: compiled(lambda x, targets: theirs.cross_entropy(x, targets)),
            }
        else:
            n_rows, n_features, n_classes = shape
            weight = torch.randn(n_classes, n_features).mul_(0.05).requires_grad_()
            leaves = [torch.randn(n_rows, n_features, requires_grad=True), weight]

            def stored(x, weight, targets):
                return theirs.cross_entropy(theirs.linear(x, weight), targets)

            losses = {
                OURS: self._ours.linear_cross_entropy,
                PEER: stored,
                COMPILED: compiled(stored),
            }
            if hasattr(torch.nn, "LinearCrossEntropyOptions"):
                chunks = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=256)
                losses[CHUNKS] = partial(theirs.linear_cross_entropy, options=chunks)
        return {name: self.step(loss, leaves, targets) for name, loss in losses.items()}

    def step(self, loss, leaves, targets):
        def step():
            for leaf in leaves:
                leaf.grad = None
            value = loss(*leaves, targets)
            value.backward()
            return value.detach(), *(leaf.grad for leaf in leaves)

        return step

    def megabytes(self, name, shape):
        """Return what two steps add to the peak of this process, which has taken a smaller one before."""
        self.steps((8, *shape[1:-1], 64))[name]()
        step = self.steps(shape)[name]
        FORGET_PEAK.write_text("5")  # the peak begins again at what is in use
        before = self.peak()
        for _ in range(2):
            step()
        return self.peak() - before

    @staticmethod
    def peak():
        lines = STATUS.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024

    def compare(self, name, ours, theirs):
        for one, other in zip(ours, theirs, strict=True):
            self._torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6, msg=name)
