"""Callbacks with the hook names of Keras: pass a list of them as `fit(..., callbacks=[...])`."""

import contextlib
import csv
import os


class Callback:
    """Base class: override the hooks that you need.

    `model` is the estimator, `params` tells about the fit. Epochs and batches count from 0; `logs`
    is a dict with the keys of `history_`. Set `self.model.stop_training = True` to stop after the
    current epoch. Objects of other classes may have any of these hooks too. Hooks for batches make
    every batch a call of its own, which is slower.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoftmax as fs
    >>> from fastsoftmax.estimators.callbacks import Callback
    >>> class StopWhenGood(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         self.model.stop_training = logs["accuracy"] >= 0.99
    >>> X = np.random.default_rng(0).normal(size=(200, 4))
    >>> clf = fs.MLPClassifier((8,), learning_rate_init=0.01, random_state=0)
    >>> clf.fit(X, X[:, 0] > 0, callbacks=[StopWhenGood()]).history_["accuracy"][-1] >= 0.99
    True
    """

    model = None
    params = None

    def set_model(self, model):
        """Receive the estimator before training."""
        self.model = model

    def set_params(self, params):
        """Receive {"epochs", "samples", "batch_size", "verbose"} before training."""
        self.params = params

    def on_train_begin(self, logs=None):
        """Run before the first epoch."""

    def on_train_end(self, logs=None):
        """Run after the last epoch, with the best weights restored."""

    def on_epoch_begin(self, epoch, logs=None):
        """Run before an epoch."""

    def on_epoch_end(self, epoch, logs=None):
        """Run after an epoch; the estimator predicts with the weights of its end."""

    def on_train_batch_begin(self, batch, logs=None):
        """Run before a batch."""

    def on_train_batch_end(self, batch, logs=None):
        """Run after a batch; `logs` are the epoch's figures so far."""


class CSVLogger(Callback):
    """Write a line per epoch to a CSV file: the epoch, then the figures.

    Parameters
    ----------
    filename : path
        The file; replaced unless `append`.
    separator : str, default ","
        What stands between the columns.
    append : bool, default False
        Go on at the end of an existing file, without a second header.
    """

    def __init__(self, filename, separator=",", append=False):
        self.filename, self.separator, self.append = filename, separator, append
        self._file = None

    def on_train_begin(self, logs=None):
        """Open the file."""
        self._goes_on = self.append and os.path.exists(self.filename)
        self._goes_on = self._goes_on and os.path.getsize(self.filename) > 0
        self._file = open(self.filename, "a" if self._goes_on else "w", newline="")  # noqa: SIM115
        self._writer = None

    def on_epoch_end(self, epoch, logs=None):
        """Write the line."""
        if self._writer is None:
            names = ["epoch", *logs]
            self._writer = csv.DictWriter(self._file, names, delimiter=self.separator)
            if not self._goes_on:
                self._writer.writeheader()
        self._writer.writerow({"epoch": epoch, **logs})
        self._file.flush()

    def on_train_end(self, logs=None):
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class ModelCheckpoint(Callback):
    """Save the estimator after epochs, with what a later `fit(..., resume_from=filepath)` needs.

    Parameters
    ----------
    filepath : path
        May contain "{epoch}" (counted from 1, as Keras does) and the keys of `history_`, for
        example "model-{epoch:02d}-{val_loss:.2f}.safetensors". The file appears whole or not at
        all.
    monitor : str, default "val_loss"
        The figure that `save_best_only` watches; more is better where its name ends in "accuracy".
    save_best_only : bool, default False
        Save only when the figure is the best so far.

    Raises
    ------
    KeyError
        While fitting, if `save_best_only` watches a figure that this fit does not have.
    """

    def __init__(self, filepath, monitor="val_loss", save_best_only=False):
        self.filepath, self.monitor, self.save_best_only = filepath, monitor, save_best_only
        self.best = None

    def on_epoch_end(self, epoch, logs=None):
        """Save, if there is reason to."""
        if self.save_best_only:
            if self.monitor not in logs:
                raise KeyError(f"monitor must be one of {', '.join(logs)}, got {self.monitor!r}")
            value = logs[self.monitor] * (-1 if self.monitor.endswith("accuracy") else 1)
            if self.best is not None and not value < self.best:
                return
            self.best = value
        path = os.fspath(self.filepath).format(epoch=epoch + 1, **logs)
        self.model.save(path, training_state=True)


_BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end")


class CallbackList:
    """Calls the same hook of every callback that has it."""

    def __init__(self, callbacks, model, params):
        if callbacks is not None and not isinstance(callbacks, (list, tuple)):
            callbacks = [callbacks]
        self._callbacks = list(callbacks or ())
        self._model, self._params = model, params
        self.want_batches = any(
            _overrides(c, hook) for c in self._callbacks for hook in _BATCH_HOOKS
        )

    def __bool__(self):
        return bool(self._callbacks)

    def _call(self, hook, *args):
        for callback in self._callbacks:
            method = getattr(callback, hook, None)
            if method is not None:
                method(*args)

    def train_begins(self):
        """Introduce the model, then begin."""
        self._call("set_model", self._model)
        self._call("set_params", self._params)
        self._call("on_train_begin", {})

    def train_ends(self):
        """End."""
        self._call("on_train_end", {})

    def epoch_begins(self, epoch):
        """Begin an epoch."""
        self._call("on_epoch_begin", epoch, {})

    def epoch_ends(self, epoch, logs):
        """End an epoch."""
        self._call("on_epoch_end", epoch, dict(logs))

    def batch_begins(self, batch):
        """Begin a batch, if somebody listens."""
        if self.want_batches:
            self._call("on_train_batch_begin", batch, {})

    def batch_ends(self, batch, tally):
        """End a batch, if somebody listens."""
        if self.want_batches:
            self._call("on_train_batch_end", batch, tally.means)


def _overrides(callback, hook):
    method = getattr(type(callback), hook, None)
    return method is not None and method is not getattr(Callback, hook)


@contextlib.contextmanager
def training(model):
    """Give the estimator its `stop_training` flag for the time of a fit."""
    model.stop_training = False
    try:
        yield
    finally:
        del model.stop_training
