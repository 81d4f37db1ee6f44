"""Options that commands share, and what they are for."""

from pathlib import Path

from fastsoftmax._measuring import disturbance

from . import results


def add_common_arguments(parser, seconds, what, small=True):
    """Declare the options that commands share."""
    parser.add_argument(
        "--seconds", type=float, default=seconds, metavar="N", help=f"{what} (default: {seconds})"
    )
    parser.add_argument(
        "--tries",
        type=int,
        default=2,
        metavar="N",
        help="how often to measure a row at most, while it is disturbed (default: 2)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the report, too")
    if small:
        parser.add_argument(
            "--small", action="store_true", help="only try the command: the figures mean nothing"
        )


class Budget:
    """
    Shares seconds between rows, and says how often a disturbed one is measured again.

    Parameters
    ----------
    seconds : float
        For the first try of all rows; other tries take half of that at most, in all.
    n_rows : int
    tries : int
        For one row.
    """

    def __init__(self, seconds, n_rows, tries):
        self.share = seconds / max(n_rows, 1)
        self.tries = tries
        self._for_others = seconds / 2

    def measure(self, measure, **how):
        """Return the row of a function that takes the seconds; it has its reasons in `disturbed`."""
        tries = self.tries if self._for_others > 0 else 1
        row = disturbance.until_quiet(
            lambda: measure(self.share), tries, **{"tell": results.tell, **how}
        )
        self._for_others -= (row["tries"] - 1) * self.share
        return row


def add_report_arguments(parser, places):
    """Declare where a report comes from and goes to; `places` tells what --write writes."""
    parser.add_argument(
        "--read", metavar="FILE", help="measure nothing: take a report that --json has written"
    )
    parser.add_argument("--write", action="store_true", help=f"write {places}")


def report_of(args, measure, layout):
    """
    Measure and print, or read and print, a report; save it as asked.

    Parameters
    ----------
    args : Namespace
        With `read` and `json`.
    measure : callable
        Takes the options and returns a report without rows and an iterable of its rows.
    layout : Layout

    Returns
    -------
    dict
    """
    read = getattr(args, "read", None)
    if read:
        report = results.read(read)
        rows, report["rows"] = report["rows"], []
        return results.print_report(report, rows, layout)
    warn_of_load()
    report, rows = measure(args)
    report = results.print_report(report, rows, layout)
    save(args, report)
    return report


def warn_of_load():
    """Say so if the machine is not quiet."""
    if warning := disturbance.load_warning():
        print(f"attention: {warning}", flush=True)


def save(args, report):
    """Write a report as --json asks."""
    if args.json:
        results.save(report, args.json)
        print(f"wrote {Path(args.json)}")
