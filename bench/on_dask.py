"""What the commands that measure fastsoftmax.dask share."""

import contextlib


def left_out(command):
    """Whether Dask is missing; if so, say that the command is left out."""
    try:
        import dask.array  # noqa: F401
        import distributed  # noqa: F401
    except ImportError as error:
        print(
            f'{command} is left out: {error.name} is not installed: pip install "fastsoftmax[dask]"'
        )
        return True
    return False


@contextlib.contextmanager
def local_client(n_workers):
    """Yield the client of so many processes of one thread each."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=n_workers, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client
