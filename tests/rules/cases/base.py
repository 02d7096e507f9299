"""The shared parts of the recipes: the table, how to enter a recipe, and what several themes draw."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from tinygrad_edu.testing.strategies import AWAY_FROM_ZERO, arrays, masks


class Case(NamedTuple):
    """The arguments of a call, options for `check_gradient`, and what to call if not the function itself."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: dict[str, Any]
    function: Callable[..., Any] | None = None


Recipe = Callable[..., Case]
CASES: dict[Any, st.SearchStrategy[Case]] = {}

NUMPY = np.lib.NumpyVersion(np.__version__)  # where an older one takes fewer arguments
POSITIVE = (0.4, 3.0)
ONE_AXIS = {"several": False, "none": False}  # for `axes`


def call(*args: Any, **kwargs: Any) -> Case:
    return Case(args, kwargs, {})


def covers(*fns: Any) -> Callable[[Recipe], Recipe]:
    """Enter a recipe for some functions: it is called with Hypothesis's `draw`."""

    def enter(recipe: Recipe) -> Recipe:
        for fn in fns:
            CASES[undecorated(fn)] = st.composite(recipe)()
        return recipe

    return enter


def undecorated(fn: Any) -> Any:
    """Return the function that the table knows a primitive of ours by."""
    ours = getattr(fn, "__module__", None) is not None and fn.__module__.startswith("tinygrad_edu")
    return getattr(fn, "__wrapped__", fn) if ours else fn


def options(draw: Any, **choices: st.SearchStrategy[Any]) -> dict[str, Any]:
    """Draw some of the keyword arguments, leaving out others."""
    return {name: draw(values) for name, values in choices.items() if draw(st.booleans())}


def unary(*fns: Any, domain: Any = AWAY_FROM_ZERO) -> None:
    """Enter functions of one array and nothing else."""
    covers(*fns)(lambda draw: call(draw(arrays(domain=domain))))


def spaced(draw: Any, n: int, start: float = -1.0) -> Any:
    """Draw a rising array."""
    return start + np.cumsum(draw(arrays((n,), (0.5, 1.0))))


def reduced(x: Any, axis: Any) -> int:
    """Return how many elements go into each result."""
    if axis is None:
        return x.size
    return math.prod(x.shape[i] for i in (axis if isinstance(axis, tuple) else (axis,)))


def enough(draw: Any, x: Any, axis: Any, least: int) -> Any:
    """Draw a mask for ``where=`` that leaves at least so many elements to each result."""
    mask = draw(masks(x.shape))
    return mask | (np.sum(mask, axis, keepdims=True) < least)
