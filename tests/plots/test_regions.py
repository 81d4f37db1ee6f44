"""Decision regions: the lines run where the prediction changes, and nowhere else."""

import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax.plots import plot_decision_regions
from fastsoftmax.plots._boundaries import boundaries


def class_lines(ax):
    return {line.get_label(): line.get_xydata() for line in ax.lines if "|" in line.get_label()}


def sides(segment, share, step=1e-4):
    """Return the points close to a segment, on its two sides."""
    point = segment[0] + share * (segment[1] - segment[0])
    along = segment[1] - segment[0]
    normal = np.array([-along[1], along[0]]) / np.hypot(*along)
    return np.array([point - step * normal, point + step * normal])


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_lines_separate_the_two_classes_they_name(iris, linear, share):
    lines = class_lines(plot_decision_regions(linear, *iris))
    assert list(lines) == ["setosa | versicolor", "versicolor | virginica"]
    for label, segment in lines.items():
        assert sorted(linear.predict(sides(segment, share))) == label.split(" | ")


def test_lines_are_differences_of_weights(iris, linear):
    segment = class_lines(plot_decision_regions(linear, *iris))["setosa | versicolor"]
    w, b = linear.coef_[0] - linear.coef_[1], linear.intercept_[0] - linear.intercept_[1]
    np.testing.assert_allclose(segment @ w + b, 0, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_every_change_of_the_prediction_has_a_line(seed):
    """Walk through the picture: the class changes where, and only where, a segment is crossed."""
    rng = np.random.default_rng(seed)
    weights, biases = rng.normal(size=(5, 2)), rng.normal(size=5)
    box = np.array([[-3.0, -3.0], [3.0, 3.0]])
    segments = [line for line in boundaries(weights, biases, box) if line.segment is not None]
    assert segments
    start, end = rng.uniform(-3, 3, (2, 40, 2))
    for a, b in zip(start, end, strict=True):
        path = a + np.linspace(0, 1, 4001)[:, None] * (b - a)
        winners = (path @ weights.T + biases).argmax(axis=1)
        changes = {
            tuple(sorted(pair))
            for pair in zip(winners[:-1].tolist(), winners[1:].tolist(), strict=True)
            if pair[0] != pair[1]
        }
        crossed = {line.pair for line in segments if crosses(line.segment, a, b)}
        assert changes == crossed


def crosses(segment, a, b):
    def side(p, q, r):
        return np.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    p, q = segment
    return side(p, q, a) != side(p, q, b) and side(a, b, p) != side(a, b, q)


def test_lines_stay_in_the_picture_and_clip_each_other():
    weights = np.array([[0.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])  # three sectors around the origin
    box = np.array([[-2.0, -2.0], [2.0, 2.0]])
    found = {line.pair: line for line in boundaries(weights, np.zeros(3), box)}
    np.testing.assert_allclose(np.sort(found[1, 2].segment, axis=0), [[0, -2], [0, 0]], atol=1e-12)
    np.testing.assert_allclose(np.sort(found[1, 2].whole, axis=0), [[0, -2], [0, 2]], atol=1e-12)


def test_extended_lines_show_all_three(iris, linear):
    ax = plot_decision_regions(linear, *iris, extend_lines=True)
    assert sum(line.get_color() == "0.5" for line in ax.lines) == 3
    lines = ["setosa | versicolor", "setosa | virginica", "versicolor | virginica"]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["setosa", "versicolor", "virginica", *lines]
    w, b = linear.coef_[0] - linear.coef_[2], linear.intercept_[0] - linear.intercept_[2]
    np.testing.assert_allclose(class_lines(ax)["setosa | virginica"] @ w + b, 0, atol=1e-9)


def test_regions_have_the_colours_of_the_predictions(iris, linear):
    ax = plot_decision_regions(linear, *iris)
    (mesh,) = (c for c in ax.collections if type(c).__name__ == "QuadMesh")
    centres = mesh.get_coordinates()
    assert centres[..., 0].min() < iris[0][:, 0].min()
    classes = np.unique(np.asarray(mesh.get_array()))
    assert classes.tolist() == [0, 1, 2]
    points = [c for c in ax.collections if type(c).__name__ == "PathCollection"]
    for k, cloud in enumerate(points):
        np.testing.assert_array_equal(cloud.get_offsets(), iris[0][iris[1] == linear.classes_[k]])
        region = mesh.cmap(mesh.norm(k))[:3]
        np.testing.assert_allclose(cloud.get_facecolor()[0, :3], region)


def test_two_classes_have_one_line(iris):
    X, y = iris
    X, y = X[y != "setosa"], y[y != "setosa"]
    clf = fs.SoftmaxRegression(C=100).fit(X, y)
    lines = class_lines(plot_decision_regions(clf, X, y))
    assert list(lines) == ["versicolor | virginica"]
    near = sides(lines["versicolor | virginica"], 0.5)
    assert sorted(clf.predict(near)) == ["versicolor", "virginica"]


def test_scaled_input_is_in_the_lines(iris):
    X, y = iris
    clf = fs.SoftmaxRegression(C=100, input_scale=0.1).fit(X, y)
    for label, segment in class_lines(plot_decision_regions(clf, X)).items():
        assert sorted(clf.predict(sides(segment, 0.5))) == label.split(" | ")


def test_contours_of_a_network_separate(iris, network):
    ax = plot_decision_regions(network, *iris)
    assert not class_lines(ax)
    contours = [c for c in ax.collections if type(c).__name__ == "QuadContourSet"]
    assert len(contours) >= 2
    for contour in contours:
        for path in contour.get_paths():
            middle = len(path.vertices) // 2
            near = sides(path.vertices[middle : middle + 2], 0.5, step=0.02)
            assert len(set(network.predict(near))) == 2


def test_other_classifiers(iris):
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    X, y = iris
    assert len(class_lines(plot_decision_regions(LogisticRegression().fit(X, y), X, y))) == 2
    for model in (
        SVC(kernel="linear", decision_function_shape="ovo"),
        OneVsRestClassifier(LogisticRegression()),
        make_pipeline(StandardScaler(), fs.SoftmaxRegression()),
        DecisionTreeClassifier(max_depth=2),
    ):
        ax = plot_decision_regions(model.fit(X, y), X, y)
        assert any(type(c).__name__ == "QuadContourSet" for c in ax.collections)


def test_names(iris, linear):
    pd = pytest.importorskip("pandas")
    X, y = iris
    frame = pd.DataFrame(X, columns=["length", "width"])
    clf = fs.SoftmaxRegression().fit(frame, y)
    for ax in (plot_decision_regions(clf, frame, y), plot_decision_regions(clf, X, y)):
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("length", "width")
    ax = plot_decision_regions(linear, X, y, feature_names=["a", "b"], class_names=[1, 2, 3])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")
    assert list(class_lines(ax)) == ["1 | 2", "2 | 3"]


def test_drawn_where_it_is_told(iris, linear):
    from matplotlib.figure import Figure

    given = Figure().add_subplot()
    assert plot_decision_regions(linear, *iris, ax=given) is given


def test_one_row_and_equal_weights():
    clf = fs.SoftmaxRegression(solver="sgd", max_iter=1, learning_rate_init=1e-30)
    clf.fit([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 2])
    clf.coef_[:] = 0
    ax = plot_decision_regions(clf, [[1.0, 1.0]])
    assert not class_lines(ax)
    assert ax.get_xlim() == (0.5, 1.5)


def test_refused(iris, linear, multilabel):
    X, y = iris
    with pytest.raises(ValueError, match=r"X must have shape \(n_rows, 2\), got \(150,\)"):
        plot_decision_regions(linear, X[:, 0])
    with pytest.raises(TypeError, match="X must be numbers"):
        plot_decision_regions(linear, [["a", "b"]])
    with pytest.raises(ValueError, match="X must be finite"):
        plot_decision_regions(linear, [[np.nan, 0.0]])
    with pytest.raises(ValueError, match="model must have 2 features, got 1"):
        plot_decision_regions(fs.SoftmaxRegression().fit(X[:, :1], y), X)
    with pytest.raises(ValueError, match="y must have 150 rows like X, got 3"):
        plot_decision_regions(linear, X, y[:3])
    with pytest.raises(ValueError, match="got 'rose' at row 1"):
        plot_decision_regions(linear, X[:2], ["setosa", "rose"])
    with pytest.raises(ValueError, match="feature_names must be two names"):
        plot_decision_regions(linear, X, feature_names="ab")
    with pytest.raises(ValueError, match="multi-label"):
        plot_decision_regions(multilabel, X)
