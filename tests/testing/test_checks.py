"""The checks check something, or say that they do not."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.testing import check_gradient, numerical_jvp, numerical_vjp

X = np.array([0.5, 1.5])
wrong = tg.primitive(lambda g, y, x: g)(lambda x: x * x)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda x: None, "returned None"),
        (lambda x: 3, "returned int 3"),
        (lambda x: np.argmax(x), "returned int64 of shape ()"),
        (lambda x: {"a": 1}, "returned dict {'a': 1}"),
        (lambda x: float(np.sum(x)), "returned float 2.0"),
        (lambda x: SimpleNamespace(y=wrong(x)), "returned SimpleNamespace"),
        (lambda x: (wrong(x) for _ in range(2)), "returned generator"),
        (lambda x: x[:0], "returned float64 of shape (0,)"),
    ],
)
def test_a_result_without_floats_is_refused(returned: Any, said: str) -> None:
    with pytest.raises(ValueError, match="must return an array of floats with elements") as caught:
        check_gradient(returned, X)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("args", "options"),
    [
        ((), {}),
        (([],), {}),
        (({"w": 1},), {}),
        ((np.zeros(0),), {}),
        ((X,), {"argnums": 1}),
        (([X],), {"argnums": 1}),
        ((X,), {"argnums": ()}),
        ((), {"kwargs": {"x": X}}),
    ],
)
def test_arguments_without_floats_are_refused(args: Any, options: Any) -> None:
    with pytest.raises(ValueError, match=r"no argument of .* is a float or an array of floats with elements"):
        check_gradient(lambda *x, **k: np.sum(X), *args, **options)


@pytest.mark.parametrize("ignoring", [lambda x, y: x * 1.0, lambda x, y: x * y.copy().astype(int)])
def test_an_argument_that_is_ignored_is_named(ignoring: Any) -> None:
    with pytest.raises(ValueError, match=r"no gradient reaches argument 1 .*argnums="):
        check_gradient(ignoring, X, X)
    check_gradient(ignoring, X, X, argnums=0)
    with pytest.raises(ValueError, match="no gradient reaches argument 0"):
        check_gradient(lambda x: np.ones(2), X)


def test_nothing_but_nan_is_refused() -> None:
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match=r"no slope of .* is a finite"):
        check_gradient(np.sqrt, -X)


@pytest.mark.parametrize("tree", [{"w": X}, {"w": 2.0}, {"w": [X, {"v": 1.0}]}])
def test_containers_are_checked_all_through(tree: Any) -> None:
    def through(f: Any) -> Any:
        return lambda t: {"out": tg.containers.tree_map(lambda leaf: f(np.multiply(leaf, 1.0)), t)}

    check_gradient(through(np.sin), tree)
    with pytest.raises(AssertionError, match=r"argument 0\['w'\]"):
        check_gradient(through(wrong), tree)


def test_measured_slopes_are_not_broadcast() -> None:
    with pytest.raises(ValueError, match="cotangent must have the shapes of the result"):
        numerical_vjp(np.square, [X], 1.0)
    with pytest.raises(ValueError, match="tangents must have the shapes of the xs"):
        numerical_jvp(np.square, [X], [np.ones((3, 2))])
