"""Layers inside layers: names, paths, seeds, weights in files, and pictures."""

import copy
import dataclasses
import pickle
import sys
from typing import Any

import numpy as np
import pytest
from own_layers import BatchNorm, Net, Residual

from tinygrad_edu import Tensor, nn, viz
from tinygrad_edu.viz.graph import trace_graph

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 5)).astype(np.float32)
PATHS = ["residual/dense", "residual/dense_1", "residual_1/dense", "residual_1/dense_1", "dense"]


def blocks(seed: int | None = None) -> nn.Sequential:
    return nn.Sequential([nn.Input((5,)), Residual(5), Residual(5), nn.Dense(1)], seed=seed)


def autoencoder(seed: int | None = None) -> nn.Sequential:
    encoder = nn.Sequential([nn.Dense(3, "tanh", input_dim=5), BatchNorm(), nn.Dense(2)], name="encoder")
    decoder = nn.Sequential([nn.Dense(3, "tanh"), nn.Dropout(0.1), nn.Dense(5)], name="decoder")
    return nn.Sequential([encoder, decoder], seed=seed)


def equal(first: Any, second: Any) -> bool:
    pairs = zip(first.get_weights(), second.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_paths() -> None:
    model = blocks()
    assert [w.name for w in model.parameters] == [f"{path}.{own}" for path in PATHS for own in "Wb"]
    assert list(model.named_weights()) == [w.name for w in model.parameters]
    assert model.layers[1].inner[1].path == "residual_1/dense_1"

    class Many(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.heads = {"left": nn.Dense(1), "right": [nn.Dense(1, name="special")]}
            self.free = [Tensor([1.0], requires_grad=True), Tensor([2.0], requires_grad=True)]

        def call(self, x: Any) -> Any:
            return self.heads["left"](x) + self.heads["right"][0](x) + self.free[0] + self.free[1]

    alone = Many()
    alone(X)
    assert [w.name for w in alone.heads["left"].parameters] == ["many/dense.W", "many/dense.b"]
    assert list(alone.named_weights())[:4] == ["free", "free_1", "dense.W", "dense.b"]
    assert list(alone.named_weights())[4:] == ["special.W", "special.b"]


def test_two_layers_of_one_chosen_name_are_refused() -> None:
    class Twice(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Dense(1, name="same"), nn.Dense(1, name="same")

    with pytest.raises(ValueError, match="there is a layer called 'same' in 'twice' already"):
        _ = Twice().parameters


@pytest.mark.parametrize(
    "make", [blocks, autoencoder, lambda seed: nn.Sequential([Residual(5)], seed=seed), Net]
)
def test_a_seed_reaches_the_layers_inside(make: Any) -> None:
    first, second, other = make(seed=1), make(seed=1), make(seed=2)
    for model in (first, second, other):
        model(X)
    assert equal(first, second)
    assert not equal(first, other)
    runs = []
    for model in (first, second):
        model.compile(nn.SGD(0.01), "mse")
        runs.append(model.fit(X, model.predict(X) + 1, epochs=2, verbose=0).history)
    assert runs[0] == runs[1]


def test_a_seed_leaves_alone_what_has_its_own_or_was_trained() -> None:
    own = nn.Dense(2, input_dim=5, seed=3)
    expected = own.W.numpy()
    trained = nn.Sequential([nn.Dense(5, input_dim=2)])
    trained.set_weights([w + 1 for w in trained.get_weights()])
    before = trained.get_weights()
    model = nn.Sequential([own, trained], seed=0)
    np.testing.assert_array_equal(model.layers[0].W.numpy(), expected)
    np.testing.assert_array_equal(model.layers[1].get_weights()[0], before[0])


def test_models_in_a_model_train_and_are_saved(tmp_path: Any) -> None:
    model, twin = autoencoder(0), autoencoder(1)
    model.compile(nn.Adam(0.01), "mse")
    history = model.fit(X, X, epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.save_weights(tmp_path / "both")
    twin.load_weights(tmp_path / "both.npz")
    np.testing.assert_array_equal(model.predict(X), twin.predict(X))
    with np.load(tmp_path / "both.npz") as file:
        assert "encoder/batch_norm.mean" in file.files
        assert "decoder/dense_1.b" in file.files


def test_a_part_is_saved_by_its_own_paths(tmp_path: Any) -> None:
    model = autoencoder(0)
    encoder = model.layers[0]
    encoder.save_weights(tmp_path / "encoder")
    alone = nn.Sequential([nn.Dense(3, "tanh", input_dim=5), BatchNorm(), nn.Dense(2)])
    alone.load_weights(tmp_path / "encoder")
    np.testing.assert_array_equal(alone.predict(X), encoder.predict(X))
    nn.Sequential([nn.Dense(5, input_dim=5), *model.layers])  # new names there change nothing here
    encoder.load_weights(tmp_path / "encoder")


def test_weights_that_two_layers_share_are_saved_once(tmp_path: Any) -> None:
    shared = nn.Dense(5, input_dim=5)

    class Tied(nn.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.again = shared, [shared]

        def call(self, x: Any) -> Any:
            return self.again[0](self.first(x))

    model = Tied()
    model(X)
    assert list(model.named_weights()) == ["dense.W", "dense.b"]
    model.save_weights(tmp_path / "tied")
    model.load_weights(tmp_path / "tied")


def test_calls_are_recorded_under_the_path() -> None:
    graph = trace_graph(blocks()(X))
    scopes = {"/".join(node.scope) for node in graph.nodes if node.op}
    assert scopes == {"residual", "residual_1", *PATHS}
    graph = trace_graph(autoencoder()(X))
    assert {node.scope[0] for node in graph.nodes if node.op} == {"encoder", "decoder"}


def test_gradients_are_measured_layer_by_layer() -> None:
    model = blocks(0)
    watch = viz.GradientNorms(lambda: np.mean(np.square(model(X))))
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0, callbacks=watch)
    assert list(watch.norms) == PATHS
    assert all(len(norms) == 2 for norms in watch.norms.values())


def test_layers_inside_are_told_apart_in_formulas_and_programs() -> None:
    model = blocks(0)
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)
    assert "residual_1_dense_1_W" in model.captured_step.source
    text = viz.text(np.mean(np.square(model(X))))
    assert "residual_1/dense_1.W" in text


def test_a_copy_and_a_pickle_of_a_part_go_on() -> None:
    part = autoencoder(0).layers[0]
    for twin in (copy.deepcopy(part), pickle.loads(pickle.dumps(part))):
        np.testing.assert_array_equal(twin.predict(X), part.predict(X))


@dataclasses.dataclass
class Parts:
    first: Any
    more: list[Any]


class Grown(nn.Model):
    def __init__(self) -> None:
        super().__init__(seed=3)
        self.parts = Parts(nn.Dense(4), [nn.Dense(5)])
        self.late: list[Any] = []

    def call(self, x: Any) -> Any:
        y = self.parts.more[0](self.parts.first(x))
        for layer in self.late:
            y = layer(y)
        return y


def test_layers_in_dataclasses_and_layers_that_come_later_are_parts() -> None:
    models = [Grown(), Grown()]
    for model in models:
        model(X)
        model.late.append(nn.Dense(1))
        model.compile("sgd", "mse")
        model.fit(X, X[:, :1], verbose=0)
        assert [w.name for w in model.parameters[-2:]] == ["dense_2.W", "dense_2.b"]
        assert len(model.parameters) == 6
    assert equal(*models)


def test_a_name_is_one_part_of_a_path() -> None:
    with pytest.raises(ValueError, match="cannot have a / in it: 'a/b'"):
        nn.Dense(3, name="a/b")


def test_warnings_name_the_line_that_trains() -> None:
    class Counting(nn.Layer):
        def call(self, x: Any) -> Any:
            self.calls = getattr(self, "calls", 0) + 1
            return x * 1.0

    model = nn.Sequential([Counting(), nn.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.warns(RuntimeWarning, match="changes its own attributes") as caught:
        model.fit(X, X[:, :1], verbose=0)
    assert caught[0].filename == __file__


# Many layers, wide and deep


def steps_of_python(work: Any) -> int:
    """Count the calls of Python functions that some work takes."""
    count = 0

    def called(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def added_one_by_one(layers: Any) -> nn.Sequential:
    model = nn.Sequential([nn.Input((3,))], seed=0)
    for layer in layers:
        model.add(layer)
    return model


@pytest.mark.parametrize("make", [lambda layers: nn.Sequential([nn.Input((3,)), *layers]), added_one_by_one])
def test_building_takes_steps_in_proportion_to_the_layers(make: Any) -> None:
    def steps(n: int) -> int:
        return steps_of_python(lambda: make([nn.Activation("tanh") for _ in range(n)]).named_weights())

    assert steps(400) < 5 * steps(100)


def test_layers_keep_their_names_whatever_else_is_changed() -> None:
    model = added_one_by_one(nn.Dense(3) for _ in range(4))
    names = [layer.name for layer in model.layers]
    assert names == ["dense", "dense_1", "dense_2", "dense_3"]
    gone = model.layers.pop(1)
    model.add(nn.Dense(3))
    assert [layer.name for layer in model.layers] == names
    assert list(model.named_weights())[-1] == "dense_3.b"
    with pytest.raises(ValueError, match="called 'dense_2' in"):
        model.add(nn.Dense(3, name="dense_2"))
    model.add(gone)
    assert gone.path == "dense_4"


def nested(depth: int) -> nn.Sequential:
    model = nn.Sequential([nn.Dense(3, input_dim=3)])
    for _ in range(depth - 1):
        model = nn.Sequential([model])
    return model


def test_layers_are_nested_as_deep_as_python_can_call_them() -> None:
    model = nested(60)
    assert model(np.ones((1, 3))).shape == (1, 3)
    assert len(model.parameters) == len(list(model.named_weights())) == 2
    assert nn.Sequential.from_config(model.get_config()).get_config() == model.get_config()
    assert equal(copy.deepcopy(model), model)
    assert equal(pickle.loads(pickle.dumps(model)), model)
    with pytest.raises(ValueError, match=r"nested more than 100 deep, .* side by side in one Sequential"):
        nested(1000)
