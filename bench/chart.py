"""Draws the throughput of each operation beside a copy and beside peers, from a report of `table`."""

import numpy as np

from fastsoftmax._measuring.contenders import OURS

from .results import ROOT

PATH = ROOT / "docs" / "images" / "throughput.png"
COLOURS = (
    "#000000", "#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#999999", "#f0e442", "#7f4f24",
)  # fmt: skip
MARKERS = "osD^vP*Xhd"


def gigabytes(row, seconds):
    """Return the logits, in GB, that a call takes in a second."""
    n_bytes = row["n_rows"] * row["n_classes"] * np.dtype(row["dtype"]).itemsize
    return n_bytes / seconds / 1e9


def draw_operation(axes, rows, peers):
    """Draw one panel: a column of marks for each shape, and the line of the copy."""
    places = np.arange(len(rows))
    copies = [gigabytes(row, row["copy_share"] * row["seconds"]) for row in rows]
    axes.plot(
        places, copies, color="0.6", linewidth=6, alpha=0.5, label="copy of the logits", zorder=1
    )
    for number, name in enumerate((OURS, *peers)):
        seconds = [
            row["seconds"] if name == OURS else row["peers"].get(name, {}).get("seconds")
            for row in rows
        ]
        found = [
            (place, gigabytes(row, one))
            for place, row, one in zip(places, rows, seconds, strict=True)
            if one
        ]
        if found:
            axes.plot(*zip(*found, strict=True), linestyle="-" if name == OURS else "none",
                      marker=MARKERS[number % 10], color=COLOURS[number % 10], markersize=8 if name == OURS else 6,
                      label=name, zorder=3 if name == OURS else 2)  # fmt: skip
    axes.set_yscale("log")
    axes.set_xticks(places, [f"{row['n_rows']}\nx {row['n_classes']}" for row in rows], fontsize=8)
    axes.set_title(rows[0]["operation"])
    axes.grid(axis="y", alpha=0.3)


def draw(report):
    """Return the figure of a report."""
    from matplotlib.figure import Figure

    operations = list(dict.fromkeys(row["operation"] for row in report["rows"]))
    figure = Figure(figsize=(12, 8), layout="constrained")
    panels = figure.subplots(-(-len(operations) // 2), 2, squeeze=False, sharey=True).ravel()
    for axes, operation in zip(panels, operations, strict=False):
        draw_operation(
            axes, [row for row in report["rows"] if row["operation"] == operation], report["peers"]
        )
    for axes in panels[len(operations) :]:
        axes.set_visible(False)
    for axes in panels[::2]:
        axes.set_ylabel("logits taken, GB/s")
    handles, labels = panels[0].get_legend_handles_labels()
    for axes in panels[1 : len(operations)]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles.append(handle)
                labels.append(label)
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    figure.suptitle(
        f"{report['machine']['cpu']}, {report['threads']} threads, {report['rows'][0]['dtype']}: higher is faster"
    )
    return figure
