"""Draw the picture of speed and error, and write the table and the sentences that go with it, from one file of figures.

python docs/benchmark.py                  from docs/benchmarks/table.json
python docs/benchmark.py results.json     from what `fastsoftmax bench --json` has printed, which takes its place

Written are docs/benchmarks/table.json, docs/images/benchmark-light.svg and -dark.svg, and what stands between the marks
`<!-- figures -->` and `<!-- end of figures -->` in README.md and docs/benchmark.md.
"""

import json
import sys
from pathlib import Path
from statistics import median

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

DOCS = Path(__file__).resolve().parent
FIGURES = DOCS / "benchmarks" / "table.json"
START, END = "<!-- figures -->\n", "<!-- end of figures -->\n"

OPERATIONS = {
    "softmax": "softmax",
    "cross_entropy": "loss",
    "cross_entropy_with_grad": "loss and gradient",
}
DRAWN = ("softmax", "cross_entropy_with_grad")
SHAPES = ((32, 10), (1024, 10), (65536, 100), (8192, 1000), (512, 32000))
BOUND = 4  # ULP

MARKERS = {
    "NumPy": ("s", "#E69F00"),
    "SciPy": ("P", "#CC79A7"),
    "PyTorch": ("^", "#D55E00"),
    "PyTorch, huge pages": (">", "#D55E00"),
    "PyTorch, compiled": ("<", "#D55E00"),
    "scikit-learn": ("D", "#009E73"),
    "JAX": ("v", "#56B4E9"),
    "ONNX Runtime": ("X", "#0072B2"),
    "TensorFlow": ("h", "#8A8A8A"),
}
OURS = ("o", "fastsoftmax")
THEMES = {
    "light": {"ink": "#1f2328", "grid": "#d0d7de", "ONNX Runtime": "#0072B2"},
    "dark": {"ink": "#f0f6fc", "grid": "#3d444d", "ONNX Runtime": "#4C9BE8"},
}


# The picture


def draw(report, theme):
    """Return the figure: time and error of each operation, a line for each shape."""
    colours = THEMES[theme]
    peers = [name for name in MARKERS if name in report["peers"]]
    figure = Figure(figsize=(9.6, 5.4), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    panels = figure.subplots(len(DRAWN), 2, sharey=True, sharex="col", squeeze=False)
    for (times, errors), operation in zip(panels, DRAWN, strict=True):
        rows = [_row(report, operation, shape) for shape in SHAPES]
        _draw_times(times, rows, peers, colours)
        _draw_errors(errors, rows, peers, colours)
        _name_shapes(times)
        times.set_title(
            OPERATIONS[operation], loc="left", fontweight="bold", fontsize=11
        )
    panels[-1, 0].set_xlabel("time, as a multiple of fastsoftmax's")
    panels[-1, 1].set_xlabel("largest error, units in the last place (ULP)")
    handles = [_mark(OURS[0], colours["ink"], OURS[1])]
    handles += [_mark(MARKERS[name][0], _colour(name, colours), name) for name in peers]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 8), frameon=False,
                  labelcolor=colours["ink"], fontsize=9, handletextpad=0.1, columnspacing=1.0)  # fmt: skip
    for ax in panels.flat:
        _paint(ax, colours)
    return figure


def _row(report, operation, shape):
    for row in report["rows"]:
        if (row["operation"], row["n_rows"], row["n_classes"]) == (operation, *shape):
            return row
    raise ValueError(
        f"the figures have no row of {operation} at {shape[0]} x {shape[1]}"
    )


def _draw_times(ax, rows, peers, colours):
    ax.axvline(1, color=colours["ink"], linewidth=1)
    for place, row in enumerate(rows):
        ax.plot(1, place, OURS[0], color=colours["ink"], markersize=8, zorder=4)
        for name in peers:
            if name in row["peers"]:
                ratio = row["peers"][name]["ratio"]
                ax.plot(
                    ratio,
                    place,
                    MARKERS[name][0],
                    color=_colour(name, colours),
                    markersize=7,
                )
    ax.set_xscale("log")


def _draw_errors(ax, rows, peers, colours):
    ax.axvline(BOUND, color=colours["ink"], linewidth=1, linestyle="--")
    ax.annotate(f"our bound: {BOUND} ULP", (BOUND, len(rows) - 0.55), xytext=(-4, 0), ha="right",
                textcoords="offset points", va="center", fontsize=8, color=colours["ink"])  # fmt: skip
    for place, row in enumerate(rows):
        for name in peers:
            if name in row["peers"]:
                ulp = row["peers"][name]["ulp"]
                ax.plot(
                    ulp,
                    place,
                    MARKERS[name][0],
                    color=_colour(name, colours),
                    markersize=7,
                )
        ax.plot(
            row["ulp"], place, OURS[0], color=colours["ink"], markersize=8, zorder=4
        )
    ax.set_xscale("log")


def _name_shapes(ax):
    ax.set_yticks(
        range(len(SHAPES)), [f"{rows:,} x {classes:,}" for rows, classes in SHAPES]
    )
    ax.set_ylim(len(SHAPES) - 0.3, -0.6)


def _colour(name, colours):
    return colours.get(name, MARKERS[name][1])


def _mark(marker, colour, label):
    return Line2D(
        [], [], marker=marker, color=colour, linestyle="none", markersize=7, label=label
    )


def _paint(ax, colours):
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_major_formatter(plain)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.patch.set_alpha(0)
    ax.grid(axis="both", color=colours["grid"], linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(colors=colours["ink"], which="both", labelsize=9, length=0)
    for text in (ax.xaxis.label, ax.title, ax._left_title):
        text.set_color(colours["ink"])
    for spine in ax.spines.values():
        spine.set_visible(False)


def save_pictures(report):
    """Write both pictures; equal figures give equal files."""
    settings = {
        "svg.hashsalt": "fastsoftmax",
        "svg.fonttype": "path",
        "axes.titlepad": 4,
    }
    for theme in THEMES:
        path = DOCS / "images" / f"benchmark-{theme}.svg"
        with matplotlib.rc_context(settings):
            draw(report, theme).savefig(path, transparent=True, metadata={"Date": None})
        path.write_text(
            "\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n"
        )


# The words


def ratios(report):
    """Return how many times as long each peer takes in each row of the table."""
    return [
        peer["ratio"]
        for row in report["rows"]
        if row["operation"] in OPERATIONS
        for peer in row["peers"].values()
    ]


def summary(report):
    """Return the sentences of README: no more than the table says."""
    rows = [row for row in report["rows"] if row["operation"] in OPERATIONS]
    best = [min(peer["ratio"] for peer in row["peers"].values()) for row in rows]
    errors = [peer["ulp"] for row in rows for peer in row["peers"].values()]
    ours = max(row["ulp"] for row in rows)
    lost = sum(ratio < 1 for ratio in best)
    fastest = (
        f"in {len(best) - lost} of {len(best)} rows"
        if lost
        else f"in all {len(best)} rows"
    )
    return (
        f"fastsoftmax is the fastest {fastest} of the [full table](docs/benchmark.md): the next library takes "
        f"{three_digits(min(best))} to {three_digits(max(best))} times as long, {three_digits(median(best))} in the "
        f"median, and the median of all libraries is {three_digits(median(ratios(report)))} times. "
        f"Its largest error is {three_digits(ours)} ULP, "
        f"the others' {three_digits(min(errors))} to {three_digits(max(errors))}. {machine(report)}\n"
    )


def three_digits(value):
    """Return a number with three significant digits, from 100 on with its thousands apart."""
    if value >= 100:
        return f"{value:,.0f}"
    return np.format_float_positional(value, 3, fractional=False, trim="-")


def duration(seconds):
    """Return a time in us or ms."""
    unit, factor = ("us", 1e6) if seconds < 1e-3 else ("ms", 1e3)
    return f"{three_digits(factor * seconds)} {unit}"


def machine(report):
    """Return the line that says where the figures were measured."""
    return (
        f"{report['machine']['cpu']}, {report['isa']} kernels, {report['threads']} threads, "
        f"{report['rows'][0]['dtype']}."
    )


def table(report):
    """Return the table in Markdown, and what it was measured with."""
    peers = list(report["peers"])
    lines = [
        "| operation | shape | fastsoftmax | " + " | ".join(peers) + " |",
        "|---|---|---|" + "---|" * len(peers),
    ]
    for row in report["rows"]:
        if row["operation"] not in OPERATIONS:
            continue
        cells = [
            f"`{row['operation']}`" + (" *" if row.get("disturbed") else ""),
            f"{row['n_rows']} x {row['n_classes']}",
            f"{duration(row['seconds'])} ({three_digits(row['ulp'])})",
        ]
        for peer in peers:
            found = row["peers"].get(peer)
            cells.append(
                f"{three_digits(found['ratio'])}x ({three_digits(found['ulp'])})"
                if found
                else "-"
            )
        lines.append("| " + " | ".join(cells) + " |")
    versions = ", ".join(
        f"{name} {version}" for name, version in report["peers"].items()
    )
    stars = any(row.get("disturbed") for row in report["rows"])
    note = " A star: other processes disturbed this row." if stars else ""
    return "\n".join([*lines, "", f"{machine(report)} Beside {versions}.{note}\n"])


def texts(report):
    """Return what stands between the marks, for each file that has them."""
    return {
        DOCS.parent / "README.md": summary(report),
        DOCS / "benchmark.md": table(report),
    }


def between_marks(path):
    """Return what comes before, between and after the marks of a file."""
    before, start, rest = path.read_text().partition(START)
    held, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"{path} has no marks {START.strip()} and {END.strip()}")
    return before, held, after


def main(argv):
    """Read, draw and write."""
    report = json.loads(Path(argv[0] if argv else FIGURES).read_text())
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(report, indent=1) + "\n")
    save_pictures(report)
    for path, text in texts(report).items():
        before, _, after = between_marks(path)
        path.write_text(f"{before}{START}\n{text}\n{END}{after}")
    print(
        f"wrote {FIGURES.name}, the pictures, {', '.join(path.name for path in texts(report))}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
