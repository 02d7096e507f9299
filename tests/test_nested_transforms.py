"""Transforms inside transforms: every pair, in three styles, eager and captured; right, arrays outside."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor
from tinygrad_edu.containers import leaves

V = np.array([0.7, -0.4, 1.1])
GIVEN = np.array([0.3, 0.9, -0.5])  # what an inner transform is taken at, in the style of a closed-over array
D = np.array([1.0, 0.5, -2.0])


def energy(x: Any, v: Any) -> Any:
    return np.sum(np.tanh(x * v) * np.cos(v[::-1])) + np.sum(x * x) * v[0]


def field(x: Any, v: Any) -> Any:
    return np.sin(x * v) + x[::-1]


# What a loss takes inside: each of a function of x and v, and of where it is taken

INNER: dict[str, Callable[[Any, Any], Any]] = {
    "grad": lambda x, v: tg.grad(lambda x: energy(x, v))(x),
    "grad of both": lambda x, v: tg.grad(energy, (0, 1))(x, v),
    "grad of the second": lambda x, v: tg.grad(energy, 1)(x, v),
    "value_and_grad": lambda x, v: tg.value_and_grad(lambda x: energy(x, v))(x),
    "elementwise_grad": lambda x, v: tg.elementwise_grad(lambda x: field(x, v))(x),
    "vjp": lambda x, v: tg.vjp(lambda x: field(x, v), x)[1](D),
    "vjp pulled by v": lambda x, v: tg.vjp(lambda x: field(x, 1.5), x)[1](v),
    "jvp": lambda x, v: tg.jvp(lambda x: field(x, v), (x,), (D,)),
    "jvp along v": lambda x, v: tg.jvp(lambda x: field(x, 1.5), (x,), (v,)),
    "jacobian": lambda x, v: tg.jacobian(lambda x: field(x, v))(x),
    "jacobian of the second": lambda x, v: tg.jacobian(field, 1)(x, v),
    "hessian": lambda x, v: tg.hessian(lambda x: energy(x, v))(x),
    "hvp": lambda x, v: tg.hvp(lambda x: energy(x, v), x, D),
    "checkpoint": lambda x, v: tg.checkpoint(lambda x: energy(x, v))(x),
    "jit of grad": lambda x, v: tg.jit(tg.grad(lambda x: energy(x, v)))(x),
    "grad of grad": lambda x, v: tg.grad(lambda x: np.sum(tg.grad(lambda x: energy(x, v))(x) ** 2))(x),
}
STYLES: dict[str, Callable[[Any], Any]] = {
    "at a closed-over array": lambda v: GIVEN,
    "at what derives from the argument": lambda v: v * 0.5 + 0.1,
    "at the argument": lambda v: v,
}


def measured(f: Callable[[Any], Any], v: Any, h: float = 1e-3) -> Any:
    """Return the Jacobian of f, by differences of sixth order."""
    weights = {-3: -1, -2: 9, -1: -45, 1: 45, 2: -9, 3: 1}
    columns: list[Any] = [
        sum(c * np.asarray(f(v + k * h * e), float) for k, c in weights.items()) / (60 * h)
        for e in np.eye(len(v))
    ]
    return np.stack(columns, -1)


OUTER: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "grad": (tg.grad, lambda loss: measured(loss, V)),
    "value_and_grad": (tg.value_and_grad, lambda loss: (loss(V), measured(loss, V))),
    "elementwise_grad": (tg.elementwise_grad, lambda loss: measured(loss, V)),
    "vjp": (
        lambda loss: lambda v: (lambda y, pull: (y, *pull(2.0)))(*tg.vjp(loss, v)),
        lambda loss: (loss(V), 2 * measured(loss, V)),
    ),
    "jvp": (
        lambda loss: lambda v: tg.jvp(loss, (v,), (D,)),
        lambda loss: (loss(V), measured(loss, V) @ D),
    ),
    "jacobian": (tg.jacobian, lambda loss: measured(loss, V)),
    "hessian": (tg.hessian, lambda loss: measured(tg.grad(loss), V)),
    "hvp": (lambda loss: lambda v: tg.hvp(loss, v, D), lambda loss: measured(tg.grad(loss), V) @ D),
    "checkpoint": (lambda loss: tg.grad(tg.checkpoint(loss)), lambda loss: measured(loss, V)),
}


def loss_with(inner: str, style: str) -> Callable[[Any], Any]:
    def loss(v: Any) -> Any:
        return sum(np.sum(np.sin(part)) for part in leaves(INNER[inner](STYLES[style](v), v)))

    return loss


@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "captured", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["eager", "captured"]
)
def test_every_transform_in_every_other(outer: str, inner: str, style: str, captured: bool) -> None:
    loss = loss_with(inner, style)
    transform, expected = OUTER[outer]
    run = tg.jit(transform(loss)) if captured else transform(loss)
    for _ in range(2):
        found = leaves(run(V))
        assert not any(isinstance(part, Tensor) for part in found)
        for got, right in zip(found, leaves(expected(loss)), strict=True):
            np.testing.assert_allclose(got, right, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("inner", INNER)
def test_at_top_level_each_gives_arrays_too(inner: str) -> None:
    assert not any(isinstance(part, Tensor) for part in leaves(INNER[inner](GIVEN, V)))


@pytest.mark.slow
@pytest.mark.parametrize("inner", INNER)
def test_steps_leave_nothing_behind(inner: str) -> None:
    """As of a small network whose loss takes a gradient: parameters are not chained to the past."""
    run, parameters = tg.value_and_grad(loss_with(inner, "at a closed-over array")), V.copy()

    def steps(n: int) -> int:
        nonlocal parameters
        for _ in range(n):
            parameters = parameters - 1e-3 * run(parameters)[1]
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    assert isinstance(parameters, np.ndarray)
    steps(10)
    tracemalloc.start()
    try:
        before = steps(10)
        assert steps(30) - before < 30 * 300  # bytes; a step that stays is thousands
    finally:
        tracemalloc.stop()


def test_a_tensor_from_outside_still_keeps_the_result_connected() -> None:
    w = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    found = tg.grad(lambda v: np.sum(tg.grad(lambda x: np.sum(x * x * w))(GIVEN) * v))(V)
    assert isinstance(found, Tensor)
    np.sum(found).backward()
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), 2 * GIVEN)
