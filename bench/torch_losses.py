"""fastsoftmax.torch beside PyTorch's own losses: forward and backward through autograd, eager.

    python -m bench torch                 with the allocator as it is
    python -m bench torch --huge-pages    with THP_MEM_ALLOC_ENABLE=1, for both

Both run in one process, since they share tensors. Logits are float32, targets int64.
"""

from functools import partial

from fastsoftmax._measuring import contenders, disturbance
from fastsoftmax._measuring.contenders import OURS
from fastsoftmax._measuring.results import make_report, make_row
from fastsoftmax._measuring.timer import Turn, alternate

from . import options
from .peers import HUGE_PAGES
from .results import Layout, our_share
from .workers import Worker

SHAPES = ((32, 10), (1024, 10), (8192, 1000), (1024, 50257))
LAYER = (512, 256, 32000)
SMALL_ROWS = 16
PEER = "PyTorch"
LAYOUT = Layout(
    heads=("loss, forward and backward", "shape"),
    case=lambda row: (row["operation"], row["shape"]),
    cell=our_share,
    note="The median time of a step; of PyTorch in brackets our time as a share of it.",
)


def add_arguments(parser):
    options.add_common_arguments(parser, 20, "how long to measure in all")
    parser.add_argument(
        "--huge-pages", action="store_true", help="PyTorch's allocator with huge pages"
    )


def run(args):
    options.report_of(args, start, LAYOUT)


def start(args):
    environment = HUGE_PAGES if args.huge_pages else None
    try:
        worker = Worker(Losses, environment=environment)
    except ImportError as error:
        return make_report({}, {PEER: contenders.reason("torch", error)}), ()
    peers = {PEER: contenders.version("torch")}
    return make_report(peers, {}, environment=environment or {}), rows(args, worker)


def rows(args, worker):
    todo = [*SHAPES, LAYER]
    budget = options.Budget(
        0.1 * len(todo) if args.small else args.seconds, len(todo), 1 if args.small else args.tries
    )
    try:
        for shape in todo:
            shape = (min(shape[0], SMALL_ROWS), *shape[1:]) if args.small else shape
            yield budget.measure(partial(worker.ask, "measure", shape))
    finally:
        worker.close()


class Losses:
    """Both libraries' losses, in the process of their tensors."""

    def __init__(self):
        import torch

        import fastsoftmax as fs
        import fastsoftmax.torch as ours

        torch.set_num_threads(fs.get_num_threads())
        torch.manual_seed(0)
        self._torch, self._ours, self._theirs = torch, ours, torch.nn.functional

    def measure(self, shape, seconds):
        """Compare and time a loss of logits, or of a layer whose shape has three sizes; return its row."""
        name = "cross_entropy" if len(shape) == 2 else "linear_cross_entropy"
        steps = dict(zip((OURS, PEER), self.steps(shape), strict=True))
        self.compare(name, *(step() for step in steps.values()))
        turns = {library: Turn(step) for library, step in steps.items()}
        watch = disturbance.Watch()
        timings = alternate(turns, seconds)
        row = make_row({"operation": name, "shape": " x ".join(map(str, shape))}, timings)
        return {**row, "disturbed": watch.reasons() + disturbance.suspicions(timings, OURS)}

    def steps(self, shape):
        """Return our step and PyTorch's: a loss and the gradients of its leaves."""
        torch, theirs = self._torch, self._theirs
        targets = torch.randint(0, shape[-1], shape[:1])
        if len(shape) == 2:
            leaves = [torch.randn(shape, requires_grad=True)]
            losses = [self._ours.cross_entropy, theirs.cross_entropy]
        else:
            n_rows, n_features, n_classes = shape
            weight = torch.randn(n_classes, n_features).mul_(0.05).requires_grad_()
            leaves = [torch.randn(n_rows, n_features, requires_grad=True), weight]

            def stored(x, weight, targets):
                return theirs.cross_entropy(theirs.linear(x, weight), targets)

            losses = [self._ours.linear_cross_entropy, stored]
        return [self.step(loss, leaves, targets) for loss in losses]

    def step(self, loss, leaves, targets):
        def step():
            for leaf in leaves:
                leaf.grad = None
            value = loss(*leaves, targets)
            value.backward()
            return value.detach(), *(leaf.grad for leaf in leaves)

        return step

    def compare(self, name, ours, theirs):
        for one, other in zip(ours, theirs, strict=True):
            self._torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6, msg=name)
