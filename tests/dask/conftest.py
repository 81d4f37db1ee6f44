"""Clusters that all tests share: two worker processes, and one."""

import pytest


def started(**options):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(dashboard_address=":0", **options) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def two_workers():
    yield from started(n_workers=2, threads_per_worker=2)


@pytest.fixture(scope="session")
def one_worker():
    yield from started(n_workers=1, threads_per_worker=1)
