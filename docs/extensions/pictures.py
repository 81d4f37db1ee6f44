"""Draw the example of each plot function while the site is built, and show the picture on its page."""

import doctest
from pathlib import Path

import matplotlib.pyplot as plt

import fastsoftmax as fs

PLOTS = [name for name in fs.plots.__all__ if name.startswith("plot_")]
FOLDER = Path("generated", "pictures")  # beside the pages that autosummary writes


def draw_examples(app):
    """Run the example of every plot function, and keep what it has drawn."""
    folder = Path(app.srcdir, FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    plt.switch_backend("agg")
    for name in PLOTS:
        names = {}
        for example in doctest.DocTestParser().get_examples(
            getattr(fs.plots, name).__doc__
        ):
            exec(example.source, names)
        plt.gcf().savefig(folder / f"{name}.png", dpi=100)
        plt.close("all")


def add_picture(app, what, name, thing, options, lines):
    """Put the picture behind the example of a plot function."""
    module, _, short = name.rpartition(".")
    if module == "fastsoftmax.plots" and short in PLOTS:
        lines += [
            "",
            f".. image:: {FOLDER.name}/{short}.png",
            "   :alt: what the example draws",
            "",
        ]


def setup(app):
    """Register with Sphinx."""
    app.connect("builder-inited", draw_examples)
    app.connect(
        "autodoc-process-docstring", add_picture, priority=600
    )  # after numpydoc
    return {"parallel_read_safe": True, "parallel_write_safe": True}
