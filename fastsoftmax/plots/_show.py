"""The end of a script that draws: windows, or files where there is no display."""

import os
import sys
from pathlib import Path

from ._figures import pyplot

_WITHOUT_WINDOWS = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")


def show(folder=None):
    """
    Show all open figures of pyplot, or save them as PNG where matplotlib has no display to show them on.

    With windows, or in a notebook, it is ``plt.show()``. On a machine without a display matplotlib takes the backend
    Agg, and ``plt.show()`` does nothing there, mostly without a word. This function saves the figures instead and
    prints a line that says where. The files are called after the script, ``plot_4_iris_1.png`` and so on; those of an
    earlier run are replaced.

    Parameters
    ----------
    folder : str or path-like, optional
        Where to save, made if it is missing. By default the folder that the environment variable
        ``FASTSOFTMAX_PICTURES`` names, or else ``pictures`` in the working directory. If the
        variable is empty, nothing is saved or printed.

    Returns
    -------
    None

    Raises
    ------
    TypeError
        If `folder` is no path.
    OSError
        If the folder cannot be made, or a file not be written.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    Agg is what matplotlib takes by itself where there is no display:

    >>> import tempfile
    >>> import fastsoftmax as fs
    >>> import matplotlib.pyplot as plt
    >>> plt.switch_backend("agg")
    >>> figure, ax = plt.subplots()
    >>> fs.plots.show(tempfile.mkdtemp())
    no display: saved ... in ...
    """
    if folder is not None and not isinstance(folder, (str, os.PathLike)):
        raise TypeError(f"folder must be a path or None, got {type(folder).__name__}")
    plt = pyplot()
    if plt.get_backend().lower() not in _WITHOUT_WINDOWS:
        plt.show()
        return
    if folder is None:
        folder = os.environ.get("FASTSOFTMAX_PICTURES", "pictures")
        if not folder:
            return
    figures = [plt.figure(number) for number in plt.get_fignums()]
    if figures:
        _save(figures, Path(folder))


def _save(figures, folder):
    folder.mkdir(parents=True, exist_ok=True)
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    name = Path(script).stem if script else "figure"
    paths = [folder / f"{name}_{number}.png" for number in range(1, len(figures) + 1)]
    for figure, path in zip(figures, paths, strict=True):
        figure.savefig(path)
    what = f"{paths[0].name} to {paths[-1].name}" if len(paths) > 1 else paths[0].name
    print(f"no display: saved {what} in {folder.resolve()}")
