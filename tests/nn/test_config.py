"""What layers are made with: remembered, shown, written as plain data, and made again."""

import json
from typing import Any

import numpy as np
import pytest
from own_layers import BatchNorm, Net, Residual, Table

from tinygrad_edu import nn
from tinygrad_edu.nn import initializers


class Star(nn.Layer):
    """Takes its arguments in every way there is."""

    def __init__(self, first: int, *sizes: int, scale: float = 1.0, **options: Any):
        super().__init__(**options)
        self.made_with = first, sizes, scale


class Wraps(nn.Layer):
    def __init__(self, layer: nn.Layer, more: Any = ()):
        super().__init__()
        self.inside = [layer, *more]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Dense(3, "relu", kernel_initializer="he_normal", input_dim=4, name="first"),
        nn.Dense(3, nn.tanh, kernel_initializer=initializers.HeUniform(seed=3), dtype=np.float64),
        nn.Activation(nn.softmax),
        nn.Flatten(name="flat"),
        nn.Dropout(rate=0.25, seed=1),
        Table(10, size=2, input_shape=(3,)),
        BatchNorm(0.5),
        Star(1, 2, 3, scale=0.5, name="star"),
        Wraps(Residual(3), [nn.Dense(2), nn.Dropout(0.1)]),
        nn.Sequential([nn.Dense(2, "relu", input_dim=3), nn.Sequential([nn.Dense(1)])], seed=2),
        nn.Sequential([nn.Input((3,)), nn.Dense(2)], name="model"),
        Net(seed=4),
    ],
)
def test_a_config_is_plain_data_and_makes_an_equal_layer(layer: Any) -> None:
    config = layer.get_config()
    back = json.loads(json.dumps(config))
    twin = type(layer).from_config(back)
    assert twin is not layer
    assert twin.get_config() == config == back
    assert type(twin) is type(layer)


def test_what_stands_in_a_config() -> None:
    dense = nn.Dense(3, nn.relu, kernel_initializer=initializers.HeNormal(seed=1))
    assert dense.get_config() == {
        "units": 3,
        "activation": "relu",
        "use_bias": True,
        "kernel_initializer": {"class_name": "HeNormal", "config": {"seed": 1}},
        "bias_initializer": "zeros",
        "input_dim": None,
        "input_shape": None,
        "name": None,
        "seed": None,
        "dtype": "float32",
    }
    assert Star(1, 2, 3, name="star").get_config() == {
        "first": 1,
        "sizes": [2, 3],
        "scale": 1.0,
        "name": "star",
    }
    model = nn.Sequential([nn.Dense(2, input_dim=3)], seed=0)
    model.add(nn.Dense(1))
    assert [layer["config"]["units"] for layer in model.get_config()["layers"]] == [2, 1]


def test_a_model_from_a_config_draws_the_same_weights() -> None:
    model = nn.Sequential([nn.Dense(2, input_dim=3), nn.Dense(1)], seed=0)
    twin = nn.Sequential.from_config(model.get_config())
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_class_that_does_not_exist_here() -> None:
    config = {"layers": [{"class_name": "Nowhere", "config": {}}]}
    with pytest.raises(ValueError, match="there is no class 'Nowhere' here"):
        nn.Sequential.from_config(config)


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (lambda: nn.Dense(3), "Dense(3, name='dense')"),
        (
            lambda: nn.Dense(3, activation=nn.relu, dtype=np.float32),
            "Dense(3, activation=relu, name='dense')",
        ),
        (lambda: nn.Dense(3, "relu", name="top"), "Dense(3, 'relu', name='top')"),
        (lambda: nn.Sequential([nn.Dense(1), nn.Dense(2)]).layers[1], "Dense(2, name='dense_1')"),
        (lambda: Table(10, 2), "Table(10, 2, name='table')"),
        (lambda: initializers.HeNormal(seed=1), "HeNormal(seed=1)"),
        (
            lambda: nn.Sequential([nn.Dense(2, input_dim=3)]),
            "<Sequential 'sequential' of Dense: 8 parameters>",
        ),
        (Net, "<Net 'net' of Dense, Dense: not built yet>"),
        (nn.History, "<History of 0 epochs>"),
    ],
)
def test_representations(thing: Any, words: str) -> None:
    assert repr(thing()) == words


def test_the_representation_of_a_run() -> None:
    model = nn.Sequential([nn.Dense(1, input_dim=1, kernel_initializer="zeros")])
    model.compile("sgd", "mse")
    history = model.fit(np.ones((4, 1)), np.ones((4, 1)), batch_size=4, verbose=0)
    assert repr(history) == "<History of 1 epoch: loss: 1.0000>"


def test_a_layer_half_made_can_be_shown() -> None:
    class Bare(nn.Layer):
        def __init__(self) -> None:
            self.scale = 2.0

    assert repr(Bare()) == "Bare(name=None)"
