"""Activations: the slides' formulas, gradients to the second order, and no overflow anywhere."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Tensor, nn
from tinygrad_edu.nn import activations
from tinygrad_edu.testing import check_gradient
from tinygrad_edu.testing.strategies import arrays

NAMES = sorted(activations.ACTIVATIONS)
Z = np.array([[-2.0, -0.5, 0.3, 1.7], [0.9, -1.1, 2.5, -0.2]])

FORMULAS = {
    "linear": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.maximum(z, 0.1 * z),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "softmax": lambda z: np.exp(z) / np.sum(np.exp(z), axis=-1, keepdims=True),
    "log_softmax": lambda z: np.log(np.exp(z) / np.sum(np.exp(z), axis=-1, keepdims=True)),
}


def test_every_activation_has_its_formula_here() -> None:
    assert sorted(FORMULAS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_formula(name: str) -> None:
    np.testing.assert_allclose(activations.get(name)(Z), FORMULAS[name](Z), rtol=1e-13)


@pytest.mark.parametrize("name", NAMES)
@given(z=arrays(st.sampled_from([(3,), (2, 3), (1, 1), (2, 1, 4)])))
def test_gradients_to_the_second_order(name: str, z: Any) -> None:
    check_gradient(activations.get(name), z)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "log_softmax"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_inputs_give_finite_values_and_gradients(name: str, dtype: Any) -> None:
    z = Tensor(np.array([[-1000.0, 0.0, 1000.0], [1000.0, 1000.0, -1000.0]], dtype), requires_grad=True)
    y = activations.get(name)(z)
    np.sum(y).backward(create_graph=True)
    assert y.dtype == z.grad.dtype == dtype
    assert np.isfinite(y.data).all()
    assert np.isfinite(z.grad.data).all()


def test_log_softmax_is_exact_where_probabilities_round_to_zero() -> None:
    z = Tensor([0.0, 1000.0], requires_grad=True)
    y = nn.log_softmax(z)
    y.backward(np.array([1.0, 0.0]))
    assert y.tolist() == [-1000.0, 0.0]
    assert z.grad.tolist() == [1.0, -1.0]


@pytest.mark.parametrize(("name", "slope"), [("relu", 0.0), ("leaky_relu", 0.1)])
def test_slope_at_the_kink(name: str, slope: float) -> None:
    z = Tensor([-1.0, 0.0, 1.0], requires_grad=True)
    np.sum(activations.get(name)(z)).backward(create_graph=True)
    assert z.grad.tolist() == [slope, slope, 1.0]


def test_leaky_relu_takes_any_slope() -> None:
    check_gradient(lambda z: nn.leaky_relu(z, 3.0), Z)
    assert nn.leaky_relu(np.array([-1.0, 1.0]), 3.0).tolist() == [-3.0, 1.0]


@pytest.mark.parametrize("name", ["sigmoid", "relu", "leaky_relu", "softmax", "log_softmax", "tanh"])
def test_one_call_is_one_node(name: str) -> None:
    z = Tensor(Z, requires_grad=True)
    y = activations.get(name)(z)
    assert y.node.name == name
    assert y.node.args[0] is z


def test_lists_are_welcome() -> None:
    assert nn.softmax([1.0, 1.0]).tolist() == [0.5, 0.5]
    assert nn.relu([-1.0, 1.0]).tolist() == [0.0, 1.0]


def test_unknown_names_are_answered_with_the_nearest_one() -> None:
    with pytest.raises(
        ValueError, match=r"no activation 'ReLU'; did you mean 'relu'\? There are: leaky_relu"
    ):
        activations.get("ReLU")
    with pytest.raises(ValueError, match=r"no activation 'xyz'\. There are: leaky_relu"):
        activations.get("xyz")
    with pytest.raises(ValueError, match=r"no activation 'sigmod'; did you mean 'sigmoid'.*relu"):
        activations.get("sigmod")
    with pytest.raises(TypeError, match="a function of z"):
        activations.get(3)
