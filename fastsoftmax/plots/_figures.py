"""matplotlib, imported when something is drawn; the colours, markers and line styles."""

import numpy as np

# Okabe and Ito's palette, which readers with any kind of colour vision tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINE_STYLES = ("-", "--", ":")
INK = "#222222"
_PAD = 0.1  # inches around everything in a figure


def pyplot():
    """Return matplotlib.pyplot, or say what to install."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('Plots need matplotlib: pip install "fastsoftmax[plots]"') from error
    return plt


def new_figure(width, height):
    """Return an empty figure in inches whose labels are never cut off."""
    figure = pyplot().figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=_PAD, h_pad=_PAD)
    return figure


def axes_or_new(ax, width=6.4, height=4.8):
    """Return the caller's Axes, checked, or the only one of a new figure."""
    if ax is None:
        return new_figure(width, height).add_subplot()
    return check_axes(ax)


def check_axes(ax):
    """Return `ax` if it is an Axes."""
    pyplot()
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes, got {type(ax).__name__}")
    return ax


def class_colours(n_classes):
    """Return a colour per class."""
    if n_classes <= len(COLOURS):
        return list(COLOURS[:n_classes])
    return list(pyplot().get_cmap("viridis")(np.linspace(0, 1, n_classes)))


def class_marker(position):
    """Return the marker of a class by its position."""
    return MARKERS[position % len(MARKERS)]


def add_legend(ax, handles, *, below=False):
    """Put a legend beside or below the picture if the figure makes room for it, else inside."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    where = {"loc": "best"}
    if isinstance(ax.figure.get_layout_engine(), ConstrainedLayoutEngine):
        where = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0}
        if below:
            where = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.11)}
    ax.legend(handles, [handle.get_label() for handle in handles], **where)
