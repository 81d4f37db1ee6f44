"""What a fit tells while it runs: Keras's line per epoch, and a bar where somebody watches."""

import importlib.util
import sys
import time

_BAR_AFTER_SECONDS = 3.0


def epoch_line(unit, epoch, n_epochs, seconds, logs):
    """Return the line of an epoch, counted from 0.

    >>> epoch_line("Epoch", 0, 5, 0.316, {"loss": 0.5, "accuracy": 0.825})
    'Epoch 1/5 - 0.32s - loss: 0.5000 - accuracy: 0.8250'
    >>> epoch_line("Epoch", 1, 5, 0.00316, {"loss": 0.25})
    'Epoch 2/5 - 3.2ms - loss: 0.2500'
    """
    figures = [f"{name}: {value:.4f}" for name, value in logs.items()]
    return " - ".join([f"{unit} {epoch + 1}/{n_epochs}", _duration(seconds), *figures])


def _duration(seconds):
    """Return a time with at least two digits, in the unit that suits it."""
    if seconds >= 0.1:
        return f"{seconds:.2f}s"
    unit, value = ("ms", seconds * 1e3) if seconds >= 1e-3 else ("us", seconds * 1e6)
    return f"{value:.0f}{unit}" if value >= 10 else f"{value:.1f}{unit}"


class Reporter:
    """Prints a line per epoch to stdout; terminals and notebooks also show a bar in long epochs."""

    def __init__(self, verbose, n_epochs, unit="Epoch"):
        self.verbose, self.n_epochs, self.unit = verbose, n_epochs, unit
        self._bar = None
        self._started = time.perf_counter()

    def epoch_begins(self, epoch, n_rows):
        """Start the clock and, over `n_rows` rows, a bar that appears after some seconds."""
        self._started = time.perf_counter()
        if self.verbose and n_rows and (in_notebook() or is_terminal(sys.stderr)):
            self._bar = _bar(f"{self.unit} {epoch + 1}/{self.n_epochs}", n_rows)

    def rows_done(self, n_rows):
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(n_rows)

    def close(self):
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def epoch_ends(self, epoch, logs):
        """Take the bar away and print the epoch's line."""
        self.close()
        if self.verbose:
            seconds = time.perf_counter() - self._started
            print(epoch_line(self.unit, epoch, self.n_epochs, seconds, logs), flush=True)


def is_terminal(stream):
    """Whether somebody watches a stream as it is written."""
    return stream is not None and stream.isatty()


def in_notebook():
    """Whether this is the kernel of a notebook, which shows what is written to stderr."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


def _bar(description, n_rows):
    try:
        if in_notebook() and importlib.util.find_spec("ipywidgets"):
            from tqdm.notebook import tqdm
        else:
            from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(
        desc=description,
        total=n_rows,
        unit=" rows",
        unit_scale=True,
        leave=False,
        delay=_BAR_AFTER_SECONDS,
        file=sys.stderr,
    )
