"""Which lines of src_ext/ the tests have run, as gcov counts them in a build with FASTSOFTMAX_COVERAGE=1.

A line counts as run if any of its instances is: for float or double, in any of the modules that were built. Signatures
and declarations of Cython are left out: what gcov counts there is the way of an exception through the function.
"""

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

DECLARATIONS = re.compile(
    r"\s*(cdef|cpdef|def|include|if hasattr)\b(?!.*[^=!<>]=[^=].*)|\s*(\"\"\"|#|}|$)"
)


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
    parser.add_argument("--fail-under", type=float, default=0, metavar="PERCENT")
    args = parser.parse_args()
    n_lines = n_run = 0
    for path, lines in sorted(counts(args.folder).items()):
        text = Path(path).read_text().splitlines()
        for number, count in sorted(lines.items()):
            if number > len(text) or DECLARATIONS.match(text[number - 1]):
                continue
            n_lines, n_run = n_lines + 1, n_run + (count > 0)
            if not count:
                print(f"{path}:{number}: {text[number - 1].strip()}")
    share = 100 * n_run / n_lines
    print(f"{n_run} of {n_lines} lines of src_ext run: {share:.1f} %")
    return share < args.fail_under


if __name__ == "__main__":
    sys.exit(main())
