"""Pictures of a fit and of a fitted classifier, drawn with matplotlib and scikit-learn's displays.

>>> import fastsoftmax as fs
>>> from sklearn.datasets import load_iris
>>> X, y = load_iris(return_X_y=True)
>>> clf = fs.SoftmaxRegression().fit(X[:, 2:], y)
>>> ax = fs.plots.plot_decision_regions(clf, X[:, 2:], y)

No plot calls ``plt.show()``: a notebook shows the figure by itself, a script saves it with
``ax.figure.savefig(path)``, or ends with `show`, which shows all figures, or saves them where there is
no display. Colours are told apart by colour-blind readers too, and never carry a
meaning alone: classes differ in their markers, lines in their style.
"""

from ._coefficients import plot_coefficients
from ._confusion import plot_confusion_matrix
from ._history import plot_history
from ._regions import plot_decision_regions
from ._reliability import plot_reliability
from ._show import show
from ._weights import plot_class_weights

__all__ = [
    "plot_class_weights",
    "plot_coefficients",
    "plot_confusion_matrix",
    "plot_decision_regions",
    "plot_history",
    "plot_reliability",
    "show",
]
