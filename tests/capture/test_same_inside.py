"""Inside a program NumPy code means what it means outside: numbers, axes, memory layouts, refusals."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from programs import RNG, assert_same_bits

import tinygrad_edu as tg
from tinygrad_edu import CaptureError, nn

FLOATS: dict[str, Callable[[Any], Any]] = {
    "grad": tg.grad(np.sin),
    "value_and_grad": tg.value_and_grad(np.sin),
    "vjp": lambda x: tg.vjp(np.sin, x)[1](2.0),
    "jvp": lambda x: tg.jvp(np.sin, (x,), (2.0,)),
    "hessian": tg.hessian(np.sin),
    "hvp": lambda x: tg.hvp(np.sin, x, 2.0),
    "jacobian": tg.jacobian(lambda x: np.sin(x) * np.arange(3.0)),
    "checkpoint": tg.grad(tg.checkpoint(np.sin)),
    "grad of grad": tg.grad(tg.grad(np.exp)),
}


@pytest.mark.parametrize("transform", FLOATS)
def test_floats_in_transforms(transform: str) -> None:
    f = FLOATS[transform]
    step = tg.jit(f)
    for x in (0.3, -1.2, 0.0):
        np.testing.assert_equal(step(x), f(x))
    assert step.traces == 1


def test_containers_of_floats() -> None:
    f = tg.grad(lambda d: np.sin(d["a"]) * d["b"][0] ** 2)
    given: dict[str, Any] = {"a": 0.3, "b": [2.0]}
    assert tg.jit(f)(given) == f(given)


def test_scipy_passes_floats() -> None:
    optimize, integrate = pytest.importorskip("scipy.optimize"), pytest.importorskip("scipy.integrate")
    slope = tg.jit(tg.grad(lambda x: x**3 - 2 * x))
    assert abs(optimize.brentq(slope, 0.0, 2.0) - np.sqrt(2 / 3)) < 1e-12
    area, _ = integrate.quad(slope, 0.0, 2.0)
    assert abs(area - 4.0) < 1e-12


def attention(x: Any) -> Any:
    heads = np.transpose(np.reshape(x, (4, 2, 3)), (1, 0, 2))
    weights = nn.softmax(heads @ np.transpose(heads, (0, 2, 1)))
    return np.reshape(np.transpose(weights @ heads, (1, 0, 2)), (4, 6))


AXES: list[Callable[[Any], Any]] = [
    lambda x: np.transpose(np.transpose(x, (0, 2, 1)), (0, 2, 1)),
    lambda x: np.transpose(np.transpose(x, (1, 2, 0)), (2, 0, 1)),
    lambda x: np.transpose(np.transpose(x, (1, 2, 0)), (1, 2, 0)),
    lambda x: np.transpose(np.transpose(x, [-1, 0, 1]), [1, 2, 0]),
    lambda x: np.moveaxis(np.moveaxis(x, 0, -1), -1, 0),
    lambda x: np.swapaxes(np.swapaxes(x, 0, 2), 0, 2),
    lambda x: np.swapaxes(np.swapaxes(x, 0, 2), 2, 0),
    lambda x: x[::-1][::-1],
    lambda x: np.reshape(np.reshape(x, (4, 6)), (2, 3, 4)),
    lambda x: x.T.T,
]


@pytest.mark.parametrize("move", AXES)
def test_axes_moved_and_moved_back(move: Any) -> None:
    for x in (RNG.normal(size=(2, 3, 4)), np.asfortranarray(RNG.normal(size=(2, 3, 4)))):
        assert_same_bits(tg.jit(lambda x: np.tanh(move(x)))(x), np.tanh(move(x)))
        slope = tg.grad(lambda x: np.sum(np.tanh(move(x)) ** 2))
        assert_same_bits(tg.jit(slope)(x), slope(x))


def test_attention_and_products_of_products() -> None:
    x, v = RNG.normal(size=(4, 6)), RNG.normal(size=(4, 6))
    for f in (lambda x: np.sum(np.sin(attention(x))), lambda x: np.sum(x @ x.T @ x)):
        assert_same_bits(tg.jit(tg.grad(f))(x), tg.grad(f)(x))
        product = functools.partial(tg.hvp, f)
        assert_same_bits(tg.jit(product)(x, v), product(x, v))


LAYOUTS: list[Callable[[Any], Any]] = [
    lambda a: a[:, ::-1],
    lambda a: a[::-1],
    lambda a: a.T,
    lambda a: a[::-1, ::-1].T,
    lambda a: np.repeat(a, 2, 1)[:, ::2],
    lambda a: np.broadcast_to(a[0], a.shape),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n", [5, 40])
def test_constants_keep_their_layout(layout: Any, n: int) -> None:
    constant = layout(RNG.normal(size=(n, n)))
    for f in (lambda x: constant @ x, lambda x: x @ constant, lambda x: np.sum(constant * x, axis=0)):
        step = tg.jit(f)
        for x in RNG.normal(size=(10, n)):
            assert_same_bits(step(x), f(x))


def test_sums_of_outer_products() -> None:
    f = tg.grad(lambda x: np.sum(np.outer(x, x)))
    step = tg.jit(f)
    for x in RNG.normal(size=(20, 5)):
        assert_same_bits(step(x), f(x))


def test_a_refusal_names_the_reason_that_it_was() -> None:
    import scipy.optimize

    x = np.ones(3)
    for f, reason in (
        (lambda x: print(x), "printing a value"),
        (lambda x: float(np.sum(x)), r"float\(\.\.\.\) reads a value"),
        (lambda x: [1, 2, 3][np.argmax(x)], "computed number as an index"),
        (lambda x: np.asarray(x), r"np\.asarray\(x\) needs a plain array"),
        (lambda x: scipy.optimize.minimize(lambda v: np.sum((v - x) ** 2), x).x, "needs a plain array"),
    ):
        with pytest.raises(CaptureError, match=reason):
            tg.jit(f)(x)


def test_opaque_calls_by_name_and_with_none_first() -> None:
    by_name = tg.opaque(lambda x: np.array(x) * 2)
    none_first = tg.opaque(lambda option, x: np.array(x) * 3)
    x = np.ones(3)
    assert_same_bits(tg.jit(lambda x: by_name(x=x) + none_first(None, x))(x), x * 5)
