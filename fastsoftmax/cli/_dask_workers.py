"""The Dask cluster that a command runs on: where it is, what its workers hold, what becomes of them."""

import contextlib
import logging

import numpy as np

from ._errors import CommandError

MOST_OCCUPIED = 0.7
"""Of a worker's memory by the libraries alone: at 0.8 Dask gives it nothing more to do."""

MB = 10**6


@contextlib.contextmanager
def client_of(args):
    """Return a client of the cluster that was asked for; one that was started here ends with it."""
    import psutil
    from distributed import Client, LocalCluster

    if args.scheduler is not None:
        try:
            _check_address(args.scheduler)
            client = Client(args.scheduler, timeout=30, set_as_default=False)
        except (OSError, ValueError) as error:
            raise CommandError(f"--scheduler {args.scheduler}: {error}") from error
        with client:
            yield client
        return
    n_workers = args.workers or 1
    _require_memory(
        args.memory_limit, psutil.Process().memory_info().rss
    )  # with the same libraries
    options = {} if args.memory_limit is None else {"memory_limit": args.memory_limit}
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=max(1, _n_processors() // n_workers),
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
            **options,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        for worker in client.scheduler_info(n_workers=-1)["workers"].values():
            _require_memory(worker["memory_limit"], worker["metrics"].get("memory", 0))
        yield client


def _check_address(address):
    """Raise ValueError unless an address is one of TCP: a client of another one cannot be closed."""
    from distributed.comm import get_address_host_port, parse_address

    if parse_address(address)[0] != "tcp":
        raise ValueError("expected an address such as tcp://10.0.0.1:8786")
    host, _ = get_address_host_port(address, strict=True)
    if not host:
        raise ValueError(f"there is no host in {address!r}")


@contextlib.contextmanager
def told_of_workers():
    """Tell in one line what becomes of a cluster: workers that die or lose the scheduler, full memory."""
    from concurrent.futures import CancelledError

    from distributed import KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise CommandError(
            f"{error.allowed_failures + 1} workers died one after the other while they ran "
            f"{error.task}: raise --memory-limit, or see their logs"
        ) from error
    except CancelledError as error:
        raise CommandError(f"the cluster gave up the work: {error.__cause__ or error}") from error
    except RuntimeError as error:
        raise CommandError(str(error)) from error


def _require_memory(limit, occupied):
    """Raise if a worker has hardly any memory beside what it occupies before it reads a row."""
    if limit and occupied > MOST_OCCUPIED * limit:
        raise CommandError(
            f"--memory-limit must leave room for rows: a worker occupies {occupied / MB:.0f} MB of "
            f"{limit / MB:.0f} MB before it has read any; give it at least {2 * occupied / MB:.0f} MB"
        )


def _n_processors():
    from dask.system import CPU_COUNT

    return CPU_COUNT


def memory_of_a_thread(client):
    """Return the memory of a worker by its threads, the least of all workers; infinite where none is limited."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    limits = [w["memory_limit"] / w["nthreads"] for w in workers if w["memory_limit"]]
    return min(limits, default=np.inf)
