"""
Two workers of Dask
===================

Softmax regression and a network on two worker processes of Dask, which the script starts itself::

    pip install "fastsoftmax[dask]"
    python examples/torch_and_dask/dask_two_workers.py

Each worker makes the rows of its partitions; none comes to this process. The coefficients have the bits
of one worker over the same partitions.
"""

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

from fastsoftmax.dask import MLPClassifier, SoftmaxRegression

N_ROWS, N_FEATURES, N_CLASSES = 40_000, 30, 5


def rows():
    """Return rows in eight partitions, and which of five centres lies nearest to each."""
    centres = np.random.default_rng(0).normal(size=(N_CLASSES, N_FEATURES))
    random = da.random.default_rng(0)
    X = random.normal(size=(N_ROWS, N_FEATURES), chunks=(N_ROWS // 8, N_FEATURES))
    y = (X @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1)
    return X.astype("float32"), y


def main():
    """Fit both on two workers; fit the regression on one, to compare."""
    X, y = rows()
    models = []
    for n_workers in (2, 1):
        with (
            LocalCluster(
                n_workers=n_workers, threads_per_worker=1, dashboard_address=":0"
            ) as cluster,
            Client(cluster) as client,
        ):
            model = SoftmaxRegression(client=client).fit(X, y)
            models.append(model)
            print(
                f"{n_workers} workers: {model.n_iter_} iterations, accuracy {model.score(X, y):.4f}"
            )
            if n_workers == 2:
                network = MLPClassifier(
                    (32,), max_iter=5, random_state=0, verbose=1, client=client
                )
                network.fit(X, y)
                print(
                    "probabilities, computed when they are asked for:",
                    network.predict_proba(X),
                )
                print(network.predict_proba(X[:2]).compute().round(3))
    same = np.array_equal(models[0].coef_, models[1].coef_)
    print(f"the same bits: {same}")
    local = models[0].to_local()
    print(
        "on this machine alone:", local.predict(np.zeros((1, N_FEATURES), np.float32))
    )


if __name__ == "__main__":
    main()
