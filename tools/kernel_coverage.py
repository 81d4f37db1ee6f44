"""Which lines of src_ext/ the tests have run, as gcov counts them in a build with FASTSOFTMAX_COVERAGE=1.

A line counts as run if any of its instances is: for float or double, in any of the modules that were built. Lines that
no test can run stand in tests/kernels/not_run.txt with the reason; any other is an error, and so is a line that stands
there and runs, or is no longer there.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from mutants import known_survivors as known_lines

NOT_RUN = Path("tests/kernels/not_run.txt")


def counts(folder):
    """Return how often each line of each file of src_ext/ ran."""
    found = {}
    for data in sorted(Path(folder).rglob("*.gcda")):
        gcov = ["gcov", "--json-format", "--stdout", str(data)]
        text = subprocess.run(gcov, capture_output=True, text=True, check=True).stdout
        for report in text.splitlines():
            for file in json.loads(report)["files"]:
                path = Path(file["file"])
                if path.parts[:1] == ("src_ext",) and path.exists():
                    lines = found.setdefault(str(path), Counter())
                    for line in file["lines"]:
                        lines[line["line_number"]] += line["count"]
    return found


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="where the objects of the build lie")
    parser.add_argument("--lines", action="store_true", help="print their numbers too")
    args = parser.parse_args()
    found, known, left = counts(args.folder), known_lines(NOT_RUN), {}
    n_lines = n_run = 0
    for path, lines in sorted(found.items()):
        text = Path(path).read_text().splitlines()
        code = {number: count for number, count in lines.items() if number <= len(text)}
        n_lines, n_run = n_lines + len(code), n_run + sum(count > 0 for count in code.values())
        for number in sorted(number for number, count in code.items() if count == 0):
            left.setdefault(f"{path}: {' '.join(text[number - 1].split())}", []).append(number)
    unknown = {text: numbers for text, numbers in left.items() if text not in known}
    for text, numbers in unknown.items():
        print(text, *(numbers if args.lines else ()))
    stale = [text for text in known if text not in left]
    for text in stale:
        print(f"runs, or is no longer there: {text}")
    n_left = sum(map(len, left.values()))
    n_unknown = sum(map(len, unknown.values()))
    print(
        f"{n_run} of {n_lines} lines of src_ext run: {n_run / n_lines:.1%}; of {n_left} others "
        f"{n_left - n_unknown} for a known reason, {n_unknown} without one"
    )
    return bool(unknown or stale)


if __name__ == "__main__":
    sys.exit(main())
