"""What it costs in accuracy to average networks after each epoch instead of training one.

    python -m bench dask-averaging               Fashion-MNIST, some minutes; made images where it is not
    python -m bench dask-averaging --small       a part of it, two epochs

The local class trains one network on all rows; MLPClassifier of fastsoftmax.dask trains n_replicas, each an
epoch on its share of 16 partitions, and averages them. Beside it stands what one share of
the rows alone gives.
"""

import warnings

import fastsoftmax as fs

from . import training
from .on_dask import left_out, local_client

N_PARTS = 16


def add_arguments(parser):
    parser.add_argument(
        "--small", action="store_true", help="6,000 images, two epochs, one and two replicas"
    )
    parser.add_argument("--epochs", type=int, default=10, metavar="N", help="(default: 10)")


def run(args):
    if left_out("dask-averaging"):
        return
    n_epochs = 2 if args.small else args.epochs
    (X, y), test, origin = images()
    if args.small:
        X, y = X[:6000], y[:6000]
    options = {"batch_size": 32, "max_iter": n_epochs, "random_state": 0, "input_scale": 1 / 255}
    print(
        f"{origin}: {len(X)} images, 784-128-10, Adam, batches of 32, {n_epochs} epochs: test accuracy"
    )
    with warnings.catch_warnings(), local_client(2) as client:
        warnings.filterwarnings("ignore", "training has reached max_iter")
        compare(client, X, y, test, options, (1, 2) if args.small else (1, 2, 4, 8, 16))


def images():
    """Return (X, y) to train on, (X, y) to test on, and where they come from."""
    X, y, origin = training.load_images(70_000)
    if origin == "Fashion-MNIST":
        return *fs.datasets.load_fashion_mnist(), origin
    return (X[10_000:], y[10_000:]), (X[:10_000], y[:10_000]), origin


def compare(client, X, y, test, options, counts):
    """Print the accuracy of one process, of averaged replicas, and of a share of the rows alone."""
    import dask.array as da

    from fastsoftmax.dask import MLPClassifier

    local = fs.MLPClassifier(**options).fit(X, y)
    print(f"one process, all rows       {local.score(*test):.4f}", flush=True)
    rows = len(X) // N_PARTS
    parts = da.from_array(X, chunks=(rows, *X.shape[1:])), da.from_array(y, chunks=rows)
    for n_replicas in counts:
        model = MLPClassifier(**options, n_replicas=n_replicas, client=client).fit(*parts)
        n_rows = len(X) // n_replicas
        part = fs.MLPClassifier(**options).fit(X[:n_rows], y[:n_rows])
        print(
            f"{n_replicas:2} replicas, averaged       {model.score(*test):.4f}   "
            f"a share of the rows alone {part.score(*test):.4f}",
            flush=True,
        )
