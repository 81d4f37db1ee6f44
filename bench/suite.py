"""The pytest-benchmark suite, and the table of its ratios: our time, and how many times as long each peer takes.

python -m bench suite                   run everything (some minutes), then print
python -m bench suite -k 8192x1000      with options of pytest: run a part
python -m bench suite results.json      print what --benchmark-json has written earlier
"""

import json
import tempfile
from pathlib import Path

from fastsoftmax._measuring.contenders import OURS
from fastsoftmax._measuring.units import duration, three_digits

BY_OPTION = " by option"


def add_arguments(parser):
    parser.add_argument(
        "results", nargs="?", metavar="RESULTS.json", help="print it; other options are pytest's"
    )


def run(args):
    """Run or read; return pytest's exit code."""
    argv = [*([args.results] if args.results else []), *args.others]
    if len(argv) == 1 and argv[0].endswith(".json"):
        print_table(json.loads(Path(argv[0]).read_text()))
        return 0
    import pytest

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "results.json")
        here = str(Path(__file__).parent)
        options = [f"--benchmark-json={path}", "--benchmark-columns=median,rounds", "-q"]
        code = pytest.main([here, *options, *argv])
        if path.exists() and path.stat().st_size:
            print_table(json.loads(path.read_text()))
    return code


def print_table(results):
    """Print a line for each group of the results: first beside peers, then by option."""
    cpu = results["machine_info"].get("cpu", {}).get("brand_raw", "")
    by_option = [r for r in results["benchmarks"] if r["group"].endswith(BY_OPTION)]
    beside_peers = [r for r in results["benchmarks"] if r not in by_option]
    for part, told in ((beside_peers, "each peer"), (by_option, "the same with an option")):
        if part:
            print(
                f"\n{cpu}: the median time of {OURS}, how many times as long {told} takes; (ULP)\n"
            )
            _print_part(part)


def _print_part(benchmarks):
    groups, names = {}, []
    for result in benchmarks:
        info = result["extra_info"]
        groups.setdefault(result["group"], {})[info["contender"]] = (
            result["stats"]["median"],
            info.get("ulp"),
        )
        if info["contender"] not in (OURS, *names):
            names.append(info["contender"])
    wide = max(len(group) for group in groups) + 2
    print(f"{'':<{wide}}{OURS:>16}" + "".join(f"{name:>18}" for name in names))
    for group, found in groups.items():
        if OURS in found:
            print(f"{group:<{wide}}{_line(found, names)}")


def _line(found, names):
    ours, ulp = found[OURS]
    line = f"{duration(ours) + _error(ulp):>16}"
    for name in names:
        if name in found:
            theirs, ulp = found[name]
            line += f"{three_digits(theirs / ours) + 'x' + _error(ulp):>18}"
        else:
            line += f"{'-':>18}"
    return line


def _error(ulp):
    return "" if ulp is None else f" ({three_digits(ulp)})"
