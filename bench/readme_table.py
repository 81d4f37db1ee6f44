"""Measure, and write the table of speed and error into README.md between its marks.

python bench/readme_table.py                 measure for about 50 seconds, then write
python bench/readme_table.py results.json    write what `fastsoftmax bench --json` has printed earlier
"""

import json
import subprocess
import sys
from pathlib import Path

from fastsoftmax.cli._printing import duration, three_digits

README = Path(__file__).resolve().parent.parent / "README.md"
START, END = "<!-- table -->\n", "<!-- end of table -->\n"
OPERATIONS = ("softmax", "cross_entropy", "cross_entropy_with_grad")


def measure():
    """Return what `fastsoftmax bench --json` prints."""
    command = [sys.executable, "-m", "fastsoftmax", "bench", "--json", "--seconds", "50"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def table(report):
    """Return the table in Markdown."""
    peers = list(report["peers"])
    lines = [
        "| operation | shape | ours | " + " | ".join(peers) + " |",
        "|---|---|---|" + "---|" * len(peers),
    ]
    for row in report["rows"]:
        if row["operation"] not in OPERATIONS:
            continue
        cells = [
            f"`{row['operation']}`",
            f"{row['n_rows']} x {row['n_classes']}",
            f"{duration(row['seconds'])} ({three_digits(row['ulp'])})",
        ]
        for peer in peers:
            found = row["peers"].get(peer)
            cells.append(
                f"{three_digits(found['ratio'])}x ({three_digits(found['ulp'])})" if found else "-"
            )
        lines.append("| " + " | ".join(cells) + " |")
    versions = ", ".join(f"{name} {version}" for name, version in report["peers"].items())
    lines += [
        "",
        f"{report['machine']['cpu']}, {report['isa']} kernels, {report['threads']} threads, float32, "
        f"beside {versions}.",
    ]
    return "\n".join(lines) + "\n"


def main(argv):
    """Measure or read, and write."""
    report = json.loads(Path(argv[0]).read_text()) if argv else measure()
    text = README.read_text()
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    README.write_text(before + START + "\n" + table(report) + "\n" + END + after)


if __name__ == "__main__":
    main(sys.argv[1:])
