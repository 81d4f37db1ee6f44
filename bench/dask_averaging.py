"""What it costs in accuracy to average networks after each epoch instead of training one.

    python bench/dask_averaging.py               Fashion-MNIST, some minutes
    python bench/dask_averaging.py --quick       a part of it, two epochs

The local class trains one network on all rows; MLPClassifier of fastsoftmax.dask trains n_replicas, each an
epoch on its share of 16 partitions, and averages them. Beside it stands what one share of
the rows alone gives.
"""

import argparse
import warnings

import dask.array as da
import distributed

import fastsoftmax as fs
from fastsoftmax.dask import MLPClassifier


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="6,000 images, two epochs")
    parser.add_argument("--epochs", type=int, default=10, help="(default: 10)")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", "training has reached max_iter")
    (X, y), (X_test, y_test) = fs.datasets.load_fashion_mnist()
    if args.quick:
        X, y, args.epochs = X[:6000], y[:6000], 2
    options = {"batch_size": 32, "max_iter": args.epochs, "random_state": 0}
    print(f"{len(X)} images, 784-128-10, Adam, batches of 32, {args.epochs} epochs: test accuracy")
    local = fs.MLPClassifier(**options).fit(X, y)
    print(f"one process, all rows       {local.score(X_test, y_test):.4f}", flush=True)
    rows = len(X) // 16
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        X_parts, y_parts = da.from_array(X, chunks=(rows, 28, 28)), da.from_array(y, chunks=rows)
        for n_replicas in (1, 2, 4, 8, 16):
            model = MLPClassifier(**options, n_replicas=n_replicas, client=client)
            model.fit(X_parts, y_parts)
            part = fs.MLPClassifier(**options).fit(
                X[: len(X) // n_replicas], y[: len(X) // n_replicas]
            )
            print(
                f"{n_replicas:2} replicas, averaged       {model.score(X_test, y_test):.4f}   "
                f"a share of the rows alone {part.score(X_test, y_test):.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
