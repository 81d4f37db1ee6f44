"""Clusters that the tests of a file share: two worker processes, and one. None is left running beside other tests."""

import pytest


def started(**options):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(dashboard_address=":0", **options) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def two_workers():
    yield from started(n_workers=2, threads_per_worker=2)


@pytest.fixture(scope="module")
def one_worker():
    yield from started(n_workers=1, threads_per_worker=1)
