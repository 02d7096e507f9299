"""Plots of a model: gradients, answers, boundaries and surfaces are those that one computes by hand."""

import subprocess
import sys

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn, viz
from tinygrad_edu.viz.plots_surface import principal_directions, random_directions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


def network(*layers, seed=0):
    model = nn.Sequential(layers or [nn.Dense(5, "relu", input_dim=2), nn.Dense(2, "softmax")], seed=seed)
    model.compile(nn.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def loss_of(model):
    return lambda: nn.sparse_categorical_crossentropy(Y, model(X))


# Gradients -------------------------------------------------------------------------------------------------


def test_gradient_norms_are_those_of_backward_before_training_and_after_each_epoch():
    model, twin = network(), network()
    watch = viz.GradientNorms(loss_of(model))
    model.fit(X, Y, epochs=2, verbose=0, seed=0, callbacks=[watch])
    expected = {"dense": [], "dense_1": []}
    for epoch in range(3):
        loss_of(twin)().backward()
        for layer in twin.layers:
            both = np.append(layer.W.grad.data.ravel(), layer.b.grad.data.ravel())
            expected[layer.name].append(np.linalg.norm(both))
        twin.zero_grad()
        twin.fit(X, Y, epochs=epoch + 1, initial_epoch=epoch, verbose=0, seed=0)
    assert list(watch.norms) == ["dense", "dense_1"]
    for name, norms in expected.items():
        np.testing.assert_allclose(watch.norms[name], norms, rtol=1e-5)


def test_watching_changes_nothing():
    layers = [nn.Dense(5, "relu", input_dim=2), nn.Dropout(0.5), nn.Dense(2, "softmax")]
    watched, alone = (
        network(*layers),
        network(nn.Dense(5, "relu", input_dim=2), nn.Dropout(0.5), nn.Dense(2, "softmax")),
    )
    callbacks = [viz.GradientNorms(loss_of(watched)), viz.WeightPath(each="step")]
    first = watched.fit(X, Y, epochs=3, verbose=0, seed=0, callbacks=callbacks).history
    assert first == alone.fit(X, Y, epochs=3, verbose=0, seed=0).history
    callbacks[0].take()
    assert all(parameter.grad is None for parameter in watched.parameters)


def test_gradient_norms_without_a_model_and_over_two_runs():
    w, v = tg.Tensor([3.0, 4.0], requires_grad=True), tg.Tensor(2.0, requires_grad=True, name="v")
    watch = viz.GradientNorms(lambda: np.sum(w * w) / 2 + v)
    watch.take()
    assert watch.norms == {"unnamed": [5.0], "v": [1.0]}
    model = network()
    watch = viz.GradientNorms(loss_of(model))
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[watch])
    model.fit(X, Y, epochs=3, initial_epoch=1, verbose=0, callbacks=[watch])
    assert len(watch.norms["dense"]) == 1 + 3


def test_gradient_norms_refuse_what_is_no_loss():
    with pytest.raises(TypeError, match=r"takes a function: GradientNorms\(lambda: ...\), and got a float"):
        viz.GradientNorms(1.0)
    with pytest.raises(TypeError, match=r"needs a scalar loss computed from parameters, and got 1\.0"):
        viz.GradientNorms(lambda: 1.0).take()
    w = tg.Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match="needs a scalar loss"):
        viz.GradientNorms(lambda: w * 2).take()
    with pytest.raises(TypeError, match="needs a scalar loss"):
        viz.GradientNorms(lambda: np.sum(w.detach())).take()


def test_gradient_flow_draws_a_line_a_layer_and_marks_what_is_0(tmp_path):
    norms = {"first": [0.1, 0.0, 0.0], "last": [1.0, 0.5, 0.25]}
    figure = viz.gradient_flow(norms, title="flow")
    (axes,) = figure.axes
    first, last = axes.get_lines()
    np.testing.assert_array_equal(first.get_ydata(), [0.1, np.nan, np.nan])
    assert last.get_ydata().tolist() == norms["last"]
    assert last.get_xdata().tolist() == [0, 1, 2]
    assert axes.get_yscale() == "log"
    assert [marks.get_offsets()[:, 0].tolist() for marks in axes.collections] == [[1, 2], []]
    assert sum(first.get_color()[:3]) < sum(last.get_color()[:3])  # dark before bright
    figure.savefig(tmp_path / "flow.png")
    viz.gradient_flow({"dead": [0.0, 0.0]}).savefig(tmp_path / "dead.png")
    watch = viz.GradientNorms(lambda: None)
    watch.norms = norms
    assert len(viz.gradient_flow(watch).axes[0].get_lines()) == 2


@pytest.mark.parametrize(
    ("norms", "error", "message"),
    [
        ([1.0], TypeError, "got list"),
        ({}, ValueError, "got shapes {}"),
        ({"a": [1.0], "b": [1.0, 2.0]}, ValueError, "all of one length"),
        ({"a": []}, ValueError, "needs a list of norms"),
        ({"a": 1.0}, ValueError, "needs a list of norms"),
    ],
)
def test_what_are_no_norms_is_refused(norms, error, message):
    with pytest.raises(error, match=message):
        viz.gradient_flow(norms)


# Activations -----------------------------------------------------------------------------------------------


def test_activations_show_every_layer_that_changes_something(tmp_path):
    model = network(
        nn.Flatten(input_shape=(2,)), nn.Dense(5, "relu"), nn.Dropout(0.5), nn.Dense(2, "softmax")
    )
    hidden = model.layers[1]
    hidden.b.assign([0.0, -100.0, 0.0, 0.0, -100.0])  # units 1 and 4 answer 0 to everything
    figure = viz.activations(model, X, title="answers")
    images = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in images] == [
        "dense (relu)\ndead (×): 2 of 5 units (40%)",
        "dense_1 (softmax)\n2 units",
    ]
    np.testing.assert_allclose(images[0].images[0].get_array(), hidden(X).data)
    np.testing.assert_allclose(images[1].images[0].get_array(), model.predict(X), rtol=1e-6)
    assert [text.xy[0] for text in images[0].texts] == [1, 4]
    figure.savefig(tmp_path / "answers.png")


def test_activations_put_examples_in_the_order_of_their_classes():
    outputs = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    axes = viz.activations({"layer": outputs}, labels=[1, 0, 1]).axes[0]
    assert axes.images[0].get_array().tolist() == [[3.0, 4.0], [1.0, 2.0], [5.0, 6.0]]
    assert axes.get_yticks().tolist() == [0.0, 1.5]
    with pytest.raises(ValueError, match="there are 3 examples, and 2 labels"):
        viz.activations({"layer": outputs}, labels=[0, 1])


def test_the_histogram_counts_zeros_in_words():
    outputs = np.array([[0.0, 1.0], [0.0, -1.0], [2.0, 0.0]])
    figure = viz.activations({"layer": outputs})
    histogram = figure.axes[1]
    assert sum(bar.get_height() for bar in histogram.patches) == pytest.approx(50)
    assert histogram.get_title() == "50% of outputs are 0, and not shown"
    assert figure.axes[0].images[0].cmap.name == "cividis"  # some are negative


def test_many_layers_take_several_rows(tmp_path):
    figure = viz.activations({f"layer_{i}": np.eye(3) + i for i in range(5)})
    shown = [axes for axes in figure.axes if axes.images and axes.get_visible()]
    assert len(shown) == 5
    figure.savefig(tmp_path / "many.png")


def test_activations_need_examples():
    with pytest.raises(TypeError, match="needs a model and examples x"):
        viz.activations(network())
    with pytest.raises(TypeError, match="needs a model and examples x"):
        viz.activations(lambda x: x, X)
    with pytest.raises(ValueError, match=r"got {'a': \(3,\)}"):
        viz.activations({"a": np.zeros(3)})
    with pytest.raises(ValueError, match=r"got {}"):
        viz.activations({})


# Boundaries ------------------------------------------------------------------------------------------------


def halves(x):
    """Return class 1 to the right of x₁ = 0.5, and be surer the farther away."""
    return nn.sigmoid(4 * (x[:, 0] - 0.5))


def test_the_boundary_is_where_the_class_changes(tmp_path):
    x, y = np.array([[0.0, 0.0], [1.0, 0.5], [0.2, 1.0]]), np.array([0, 1, 1])
    figure = viz.decision_boundary(halves, x, y, names=["left", "right"])
    axes = figure.axes[0]
    assert figure.legends[0].get_texts()[0].get_text() == "class left"
    boundaries = [path.vertices for lines in axes.collections[:2] for path in lines.get_paths()]
    for boundary in boundaries:
        np.testing.assert_allclose(boundary[:, 0], 0.5, atol=1e-3)
    points = {marks.get_label(): marks.get_offsets().tolist() for marks in axes.collections[2:]}
    assert points == {
        "class left": [[0.0, 0.0]],
        "class right": [[1.0, 0.5], [0.2, 1.0]],
        "wrong": [[0.2, 1.0]],
    }
    assert axes.get_xlim() == pytest.approx((-0.1, 1.1))
    figure.savefig(tmp_path / "boundary.png")


def test_the_plane_is_paler_where_the_model_is_less_sure():
    picture = viz.decision_boundary(halves, [[0.0, 0.0], [1.0, 1.0]], [0, 1]).axes[0].images[0].get_array()
    paleness = picture.sum(2)[100]
    assert paleness[0] < paleness[99] > paleness[-1]
    assert picture[0, 0, 2] > picture[0, 0, 0]  # blue on the left
    assert picture[0, -1, 2] < picture[0, -1, 0]  # vermillion on the right


def test_a_model_and_scores_that_are_no_probabilities_draw_the_same_boundary():
    three = RNG.normal(size=(2, 3))
    y = np.argmax(X @ three, axis=1)
    model = network(nn.Dense(3, "softmax", input_dim=2, use_bias=False))
    model.set_weights([three])
    by_model = viz.decision_boundary(model, X, np.eye(3)[y], points=50).axes[0]
    by_scores = viz.decision_boundary(lambda x: x @ three, X, y, points=50).axes[0]
    assert not [marks for marks in by_model.collections if marks.get_label() == "wrong"]
    lines = [
        [p.vertices for m in axes.collections[:3] for p in m.get_paths()] for axes in (by_model, by_scores)
    ]
    assert len(lines[0]) == len(lines[1]) > 0
    for a, b in zip(lines[0], lines[1], strict=True):
        np.testing.assert_allclose(a.mean(0), b.mean(0), atol=0.1)


@pytest.mark.parametrize(
    ("model", "x", "y", "message"),
    [
        (halves, np.zeros((3, 4)), [0, 1, 0], r"shape \(n, 2\), and a label each; got shapes \(3, 4\)"),
        (halves, np.zeros((3, 2)), [0, 1], "a label each"),
        (halves, np.zeros((0, 2)), [], "a label each"),
        (halves, np.eye(2), [0, 2], "tells 2 classes apart, and there are labels up to 2"),
        (lambda x: np.ones((len(x), 8)), np.eye(2), [0, 1], "7 classes can be drawn"),
        (
            lambda x: x[:, 0] * 9,
            np.eye(2),
            [0, 1],
            "probability of class 1, and this one goes from -0.9 to 9.9",
        ),
        (lambda x: x[:3], np.eye(2), [0, 1], r"scores of shape \(40000, classes\).*gave shape \(3, 2\)"),
        (lambda x: x * np.nan, np.eye(2), [0, 1], "nan or infinity"),
    ],
)
def test_a_boundary_that_cannot_be_drawn_is_refused(model, x, y, message):
    with pytest.raises(ValueError, match=message):
        viz.decision_boundary(model, x, y)


# Surfaces --------------------------------------------------------------------------------------------------


def test_the_path_of_weights_starts_before_training():
    model = network()
    begin = model.get_weights()
    by_epoch, by_step = viz.WeightPath(), viz.WeightPath(each="step")
    model.fit(X, Y, epochs=3, batch_size=20, verbose=0, callbacks=[by_epoch, by_step])
    assert (len(by_epoch.points), len(by_step.points)) == (4, 7)
    for path in (by_epoch, by_step):
        for kept, expected in zip(path.points[0] + path.points[-1], begin + model.get_weights(), strict=True):
            np.testing.assert_array_equal(kept, expected)
    with pytest.raises(ValueError, match="'week'"):
        viz.WeightPath(each="week")


def test_the_path_of_a_model_without_an_input_shape_has_its_start_too():
    model = network(nn.Dense(2, "softmax"))
    path = viz.WeightPath(each="step")
    model.fit(X, Y, batch_size=20, verbose=0, callbacks=[path])
    assert len(path.points) == 3


def test_two_weights_are_the_axes_and_heights_the_loss():
    path = [np.array([2.0, 1.0]), np.array([1.0, 0.5]), np.array([0.5, 0.0])]
    figure = viz.loss_surface(lambda w: w[0] ** 2 + 10 * w[1] ** 2 + 1, path=path, points=5)
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("first weight", "second weight")
    drawn = axes.get_lines()[0]
    assert drawn.get_xdata().tolist() == [2.0, 1.0, 0.5]
    assert drawn.get_ydata().tolist() == [1.0, 0.5, 0.0]
    assert axes.get_xlim() == pytest.approx((0.5 - 0.375, 2.0 + 0.375))
    assert figure.axes[1].get_ylim() == pytest.approx(
        (1 + 0.125**2 + 10 * 0.125**2, 1 + 2.375**2 + 10 * 1.25**2)
    )


def test_two_weights_without_a_path_are_in_the_middle():
    model = nn.Sequential([nn.Dense(1, input_dim=1)])
    model.compile("sgd", "mse")
    model.set_weights([[[2.0]], [-1.0]])
    axes = viz.loss_surface(model, X[:, :1], X[:, 1:], points=3).axes[0]
    assert axes.get_xlim() == (-2.5, 6.5)  # 2 in the middle, 0 and its mirror image well inside
    assert axes.get_ylim() == (-4, 2)
    assert axes.collections[-1].get_offsets().tolist() == [[2.0, -1.0]]
    one_point = viz.loss_surface(lambda w: w @ w, path=[np.array([1.0, 2.0])], points=3).axes[0]
    assert one_point.get_xlim() == (0, 2)


def test_the_surface_of_a_model_goes_through_its_losses(monkeypatch):
    model = network()
    path = viz.WeightPath()
    model.fit(X, Y, epochs=4, verbose=0, callbacks=[path])
    before, asked = model.get_weights(), []
    evaluate = model.evaluate
    monkeypatch.setattr(
        model, "evaluate", lambda *a, **k: asked.append(model.get_weights()) or evaluate(*a, **k)
    )
    figure = viz.loss_surface(model, X, Y, path, points=5)
    assert len(asked) == 25
    for kept, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(kept, expected)
    ways = np.array([np.concatenate([part.ravel() for part in point]) for point in path.points])
    directions, shares = principal_directions(ways)
    shadow = (ways - ways[-1]) @ directions.T
    np.testing.assert_allclose(figure.axes[0].get_lines()[0].get_xdata(), shadow[:, 0], atol=1e-6)
    assert figure.axes[0].get_xlabel() == f"first principal direction ({shares[0]:.0%} of the path's spread)"
    corner = np.concatenate([part.ravel() for part in asked[0]])
    low = np.array([figure.axes[0].get_xlim()[0], figure.axes[0].get_ylim()[0]])
    np.testing.assert_allclose(corner, ways[-1] + low @ directions, atol=1e-5)


def test_without_a_path_directions_are_random_and_as_long_as_the_weights(tmp_path):
    model = network()
    figure = viz.loss_surface(model, X, Y, points=4)
    assert figure.axes[0].get_xlabel() == "first random direction"
    assert figure.axes[0].get_xlim() == (-1, 1)
    assert not figure.axes[0].get_lines()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["the weights"]
    figure.savefig(tmp_path / "surface.png")
    two = random_directions(model.get_weights(), seed=1)
    w = model.get_weights()[0]
    for row in two:
        np.testing.assert_allclose(np.linalg.norm(row[:10].reshape(2, 5), axis=0), np.linalg.norm(w, axis=0))
        assert not row[10:15].any()  # biases stay
    np.testing.assert_array_equal(two, random_directions(model.get_weights(), seed=1))
    assert not np.array_equal(two, random_directions(model.get_weights(), seed=2))


def test_a_function_gets_weights_in_the_form_of_the_path():
    shapes = set()

    def loss(weights):
        shapes.add(tuple(np.shape(part) for part in weights))
        return sum(np.sum(part**2) for part in weights)

    path = [[np.full((2, 2), value), tg.Tensor(-(value**2))] for value in (3.0, 2.0, 1.0)]
    viz.loss_surface(loss, path=path, points=3)
    assert shapes == {((2, 2), ())}


def test_where_the_loss_overflows_there_is_a_hole(tmp_path):
    path = [np.array([-1.0, 2.0]), np.array([1.0, 1.0])]
    figure = viz.loss_surface(lambda w: np.log(w[0]), path=path, points=5)
    figure.savefig(tmp_path / "hole.png")
    with pytest.raises(ValueError, match="nan or infinite everywhere"):
        viz.loss_surface(lambda w: np.nan, path=path, points=3)
    viz.loss_surface(lambda w: 1.0, path=path, points=3).savefig(tmp_path / "flat.png")


def test_a_surface_that_cannot_be_drawn_is_refused_and_the_weights_put_back():
    model = network()
    before = model.get_weights()
    with pytest.raises(TypeError, match=r"examples and labels: loss_surface\(model, x, y\)"):
        viz.loss_surface(model)
    with pytest.raises(ValueError, match="weights of shapes"):
        viz.loss_surface(model, X, Y, path=[np.eye(3)[i] for i in range(3)], points=3)
    with pytest.raises(ValueError, match="x has shape"):
        viz.loss_surface(model, X[:, :1], Y, points=3)
    for kept, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(kept, expected)
    with pytest.raises(TypeError, match="come from its path"):
        viz.loss_surface(lambda w: 0.0)
    with pytest.raises(TypeError, match="needs a model or a function of the weights, and got 3"):
        viz.loss_surface(3)
    with pytest.raises(ValueError, match="2 points on one line spans no plane"):
        viz.loss_surface(np.sum, path=[np.zeros(3), np.ones(3)])
    with pytest.raises(ValueError, match="needs two weights or more, and there is 1"):
        viz.loss_surface(np.sum, path=[np.zeros(1), np.ones(1)])
    model.set_weights([0 * part for part in before])
    with pytest.raises(ValueError, match="all weights are 0"):
        viz.loss_surface(model, X, Y)


# House rules -----------------------------------------------------------------------------------------------


def test_no_pyplot_and_no_matplotlib_before_a_plot():
    code = (
        "import sys; from tinygrad_edu import viz; viz.gradient_flow, viz.activations, viz.loss_surface;"
        "assert 'matplotlib' not in sys.modules; viz.gradient_flow({'a': [1.0]});"
        "viz.activations({'a': [[1.0, 0.0]]}); viz.decision_boundary(lambda x: x, [[0, 1], [1, 0]], [0, 1]);"
        "viz.loss_surface(lambda w: w @ w, path=[w for w in __import__('numpy').eye(2)]);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    plots = [
        lambda: viz.gradient_flow({"a": [1.0]}),
        lambda: viz.activations({"a": [[1.0]]}),
        lambda: viz.decision_boundary(halves, np.eye(2), [0, 1]),
        lambda: viz.loss_surface(np.sum, path=[np.zeros(2), np.ones(2)]),
    ]
    for plot in plots:
        with pytest.raises(ImportError, match=r'pip install "tinygrad-edu\[plot\]"'):
            plot()
