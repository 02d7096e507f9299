"""Plots: what is drawn is what was given, and what cannot be drawn is refused."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import viz
from tinygrad_edu.viz import plots

RUN = {
    "loss": [1.0, 0.5, 0.25],
    "val_loss": [1.1, 0.7, 0.6],
    "categorical_accuracy": [0.5, 0.7, 0.9],
    "val_categorical_accuracy": [0.4, 0.6, 0.7],
}


def lines(axes):
    return {line.get_label(): line.get_ydata().tolist() for line in axes.get_lines()}


def test_one_history_gives_loss_and_accuracy_on_both_data_sets(tmp_path):
    figure = plots.learning_curves(RUN, title="one run")
    loss, accuracy = figure.axes
    assert lines(loss) == {"training": RUN["loss"], "validation": RUN["val_loss"]}
    assert lines(accuracy)["validation"] == RUN["val_categorical_accuracy"]
    assert [loss.get_xlabel(), loss.get_ylabel()] == ["epoch", "loss"]
    assert [accuracy.get_xlabel(), accuracy.get_ylabel()] == ["epoch", "accuracy"]
    assert loss.get_lines()[0].get_xdata().tolist() == [1, 2, 3]
    assert figure.get_suptitle() == "one run"
    figure.savefig(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_history_object_reads_as_its_dict():
    by_object = plots.learning_curves(SimpleNamespace(history=RUN))
    assert lines(by_object.axes[0]) == lines(plots.learning_curves(RUN).axes[0])
    by_name = plots.learning_curves({"l1": SimpleNamespace(history=RUN)})
    assert lines(by_name.axes[0])["l1 training"] == RUN["loss"]


def test_seeds_become_a_mean_in_a_band():
    other = {key: [value + 0.2 for value in values] for key, values in RUN.items()}
    figure = plots.learning_curves({"l1_b32": [RUN, SimpleNamespace(history=other)], "l1_b1": RUN})
    loss = figure.axes[0]
    np.testing.assert_allclose(lines(loss)["l1_b32 training"], np.add(RUN["loss"], 0.1))
    assert len(loss.collections) == 2  # training and validation of the run with two seeds
    corners = loss.collections[0].get_paths()[0].vertices[:, 1]
    assert (corners.min(), corners.max()) == pytest.approx((0.25, 1.2))


def test_a_run_without_validation_or_accuracy_is_drawn_without_them():
    figure = plots.learning_curves({"a": {"loss": np.array([1.0, 0.5])}, "b": RUN})
    assert set(lines(figure.axes[0])) == {"a training", "b training", "b validation"}
    assert set(lines(figure.axes[1])) == {"b training", "b validation"}
    assert len(plots.learning_curves({"loss": [1.0]}).axes) == 1


def test_runs_have_colours_of_their_own_and_validation_is_dashed():
    axes = plots.learning_curves({"a": RUN, "b": RUN}).axes[0]
    styles = [(line.get_color(), line.get_linestyle()) for line in axes.get_lines()]
    assert len(set(styles)) == 4
    assert styles[0][0] == styles[1][0] != styles[2][0]
    assert [style for _, style in styles] == ["-", "--", "-", "--"]


def test_optimizers_are_compared_on_a_logarithmic_loss():
    figure = plots.compare_optimizers({"SGD": RUN, "Adam": RUN})
    loss, accuracy = figure.axes
    assert loss.get_yscale() == "log"
    assert accuracy.get_ylabel() == "validation accuracy"
    assert lines(accuracy)["Adam"] == RUN["val_categorical_accuracy"]
    figure.canvas.draw()
    ticks = [label.get_text() for label in loss.get_yticklabels()]
    assert {"0.5", "1"} <= set(ticks)
    without = plots.compare_optimizers({"SGD": {key: RUN[key] for key in ("loss", "categorical_accuracy")}})
    assert without.axes[1].get_ylabel() == "accuracy"


@pytest.mark.parametrize(
    ("histories", "error", "message"),
    [
        ([RUN], TypeError, "got list"),
        ({}, TypeError, "got dict"),
        ({"a": {"accuracy": [1.0]}}, ValueError, "run 'a' needs a list 'loss'.*it has 'accuracy'"),
        ({"a": []}, ValueError, "it has nothing"),
        ({"a": 3}, ValueError, "it has 3"),
        ({"a": {"loss": []}}, ValueError, "needs a list 'loss'"),
        ({"a": [{"loss": [1.0]}, {"loss": [1.0, 2.0]}]}, ValueError, r"differ in length: \[1, 2\]"),
        ({str(i): RUN for i in range(8)}, ValueError, "7 runs can be told apart"),
    ],
)
def test_what_is_no_history_is_refused(histories, error, message):
    with pytest.raises(error, match=message):
        plots.learning_curves(histories)


def test_weights_share_one_scale_symmetric_about_zero():
    matrix = np.random.default_rng(0).normal(size=(784, 10))
    figure = plots.weights(tg.Tensor(matrix, requires_grad=True))
    images = [axes.images[0] for axes in figure.axes[:10]]
    assert [axes.get_title() for axes in figure.axes[:10]] == [str(i) for i in range(10)]
    np.testing.assert_array_equal(images[3].get_array(), matrix[:, 3].reshape(28, 28))
    limit = np.abs(matrix).max()
    assert {image.get_clim() for image in images} == {(-limit, limit)}
    assert figure.axes[10].get_ylabel() == "weight"


def test_weights_of_a_model_are_its_first_matrix():
    first = np.arange(18.0).reshape(9, 2)
    model = SimpleNamespace(get_weights=lambda: [np.zeros(2), first, np.ones((2, 2))])
    figure = plots.weights(model, names=["up", "down"])
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), first[:, 1].reshape(3, 3))
    assert figure.axes[0].get_title() == "up"


def test_zero_weights_have_a_scale_too():
    assert plots.weights(np.zeros((4, 1))).axes[0].images[0].get_clim() == (-1, 1)


def test_weights_that_are_no_images_are_refused():
    with pytest.raises(ValueError, match="8 inputs are no square number"):
        plots.weights(np.zeros((8, 2)))
    with pytest.raises(ValueError, match=r"got shapes \[\(4,\)\]"):
        plots.weights(np.zeros(4))
    with pytest.raises(ValueError, match="2 to name, and 1 names"):
        plots.weights(np.zeros((4, 2)), names=["a"])


def test_the_confusion_matrix_counts():
    true = np.eye(3)[[0, 1, 1, 2, 2, 2]]
    predicted = np.array([[9, 1, 0], [0, 1, 0], [0, 2, 1], [0, 0, 1], [1, 0, 0], [0, 0, 3]]) / 9
    axes = plots.confusion_matrix(true, predicted, names=["a", "b", "c"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["1", "", "", "", "2", "", "1", "", "2"]
    np.testing.assert_allclose(axes.images[0].get_array(), [[1, 0, 0], [0, 1, 0], [1 / 3, 0, 2 / 3]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="got 2 labels, 1 predictions"):
        plots.confusion_matrix([0, 1], [0])
    with pytest.raises(ValueError, match="got 0 labels"):
        plots.confusion_matrix([], [])


def test_predictions_mark_what_is_wrong_by_more_than_colour():
    images = np.random.default_rng(0).random((3, 784))
    figure = plots.predictions(images, predicted=[1, 2, 3], true=[1, 2, 4], columns=2)
    assert [axes.get_title() for axes in figure.axes] == ["1", "2", "3 ≠ 4", ""]
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), images[1].reshape(28, 28))
    assert len(plots.predictions(images.reshape(3, 28, 28), predicted=np.eye(3)).axes) == 3
    with pytest.raises(ValueError, match="3 images, 2 predictions, 2 labels"):
        plots.predictions(images, [1, 2])
    with pytest.raises(ValueError, match=r"must be square; these have shape \(3, 8\)"):
        plots.predictions(images[:, :8], [1, 2, 3])


def test_no_pyplot_and_no_matplotlib_before_a_plot():
    code = (
        "import sys; from tinygrad_edu.viz import plots; assert 'matplotlib' not in sys.modules;"
        "plots.learning_curves({'loss': [1.0, 0.5]}); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "tinygrad-edu\[plot\]"'):
        plots.learning_curves(RUN)


def test_every_plot_is_reachable_from_viz():
    for name in viz.PLOTS:
        assert name in viz.__all__
        assert name in dir(viz)
        assert getattr(viz, name).__module__ == f"tinygrad_edu.viz.{viz.PLOTS[name]}"
    assert set(plots.__all__) <= set(viz.PLOTS)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = viz.nonsense


def test_probabilities_of_a_single_output_are_those_of_class_1():
    axes = plots.confusion_matrix([0, 1, 1], [[0.2], [0.9], [0.4]]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["1", "", "1", "1"]
    with pytest.raises(ValueError, match="these are neither"):
        plots.confusion_matrix([0, 1], [0.5, 1.5])
    with pytest.raises(ValueError, match="these are neither"):
        plots.confusion_matrix([0, 1], [0.5, np.nan])
    with pytest.raises(ValueError, match="there is a class -1"):
        plots.confusion_matrix([0, 1], [1, -1])
    with pytest.raises(ValueError, match=r"these have \(1, 1, 1\)"):
        plots.confusion_matrix([0, 1], [[[1]]])
