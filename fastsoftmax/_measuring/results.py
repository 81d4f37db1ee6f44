"""The form of all results: a report is a header and rows; JSON, tables and charts are made of it."""

from .._dispatch import backend_info
from .contenders import OURS
from .machine import machine

HEADER = ("version", "backend", "isa", "threads", "threads_reason")


def make_report(peers, absent, **more):
    """
    Return a report without rows.

    Parameters
    ----------
    peers : dict
        The version of each peer by its name.
    absent : dict
        Why a peer is missing, by its name.
    **more : dict
        What else holds for all rows.

    Returns
    -------
    dict
        What computes and where, with `peers`, `absent`, and empty `rows` and `left_out`.
    """
    facts = backend_info()
    return {
        **{name: facts[name] for name in HEADER},
        "machine": machine(),
        **more,
        "peers": dict(peers),
        "absent": dict(absent),
        "rows": [],
        "left_out": [],
    }


def make_row(case, timings, ours=OURS, **facts):
    """
    Return the row of a measurement.

    Parameters
    ----------
    case : dict
        What was measured.
    timings : dict
        The `Timing` of each contender.
    ours : str, optional
        The contender that the others are compared with.
    **facts : dict
        More about each contender, such as its error.

    Returns
    -------
    dict
        The case, then `seconds`, `spread` (`Timing.spread`) and the facts of ours; `peers`, for each the same and its
        `ratio`, its time over ours; `disturbed`, the reasons against the row; `tries`.
    """
    base = timings[ours].seconds
    told = {
        name: {
            "seconds": timing.seconds,
            "spread": timing.spread,
            "ratio": timing.seconds / base,
            **{fact: values[name] for fact, values in facts.items() if name in values},
        }
        for name, timing in timings.items()
    }
    mine = told.pop(ours)
    del mine["ratio"]
    return {**case, **mine, "peers": told, "disturbed": [], "tries": 1}
