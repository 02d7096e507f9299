"""Random numbers that repeat from a seed, and that a captured program draws anew on every call.

They come from `numpy.random.Generator`, whose numbers these are. The one idea: a drawing is a call like any
other, made on a generator, so that `jit` writes it down as one; a drawing of NumPy's own would happen only
once.
"""

import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .state import current_trace

Shape: TypeAlias = int | tuple[int, ...] | None
Source: TypeAlias = np.random.Generator | Callable[[], np.random.Generator] | None

_shared = np.random.default_rng()
_lock = threading.Lock()


def seed(number: int | None) -> None:
    """Make all random numbers that nobody else gave a seed to repeat from here on; None makes them new again.

    >>> seed(7)
    >>> first = normal(2)
    >>> seed(7)
    >>> bool(np.all(normal(2) == first))
    True
    """
    global _shared
    with _lock:
        _shared = np.random.default_rng(number)


def generator() -> np.random.Generator:
    """Return the generator that is shared by all that have none of their own."""
    return _shared


def random(shape: Shape = None, source: Source = None) -> Any:
    """Draw numbers evenly from 0 up to but not 1, in float64.

    Args:
        shape: of the array; without one, a single number is drawn.
        source: a generator, or a function that returns one; by default the shared one.

    Raises:
        TypeError: `source` is neither a generator nor a function.

    >>> seed(0)
    >>> random(2).round(3)
    array([0.637, 0.27 ])
    """
    return _draw(source, "random", shape)


def uniform(low: Any = 0.0, high: Any = 1.0, shape: Shape = None, source: Source = None) -> Any:
    """Draw numbers evenly from `low` up to but not `high`.

    Raises:
        TypeError: `source` is neither a generator nor a function.

    >>> seed(0)
    >>> bool(-1 <= uniform(-1, 1) < 1)
    True
    """
    return _draw(source, "uniform", low, high, shape)


def normal(shape: Shape = None, mean: Any = 0.0, stddev: Any = 1.0, source: Source = None) -> Any:
    """Draw from a normal distribution.

    Raises:
        TypeError: `source` is neither a generator nor a function.

    >>> seed(0)
    >>> normal((2, 3)).shape
    (2, 3)
    """
    return _draw(source, "normal", mean, stddev, shape)


def integers(low: int, high: int, shape: Shape = None, source: Source = None) -> Any:
    """Draw whole numbers evenly from `low` up to but not `high`.

    Raises:
        TypeError: `source` is neither a generator nor a function.

    >>> seed(0)
    >>> integers(0, 10, 3)
    array([8, 6, 5])
    """
    return _draw(source, "integers", low, high, shape)


def permutation(n: int, source: Source = None) -> Any:
    """Draw an order of the numbers 0 to ``n - 1``.

    Raises:
        TypeError: `source` is neither a generator nor a function.

    >>> seed(0)
    >>> permutation(4)
    array([2, 0, 1, 3])
    """
    return _draw(source, "permutation", n)


def _draw(source: Source, method: str, *args: Any) -> Any:
    """Draw now, or let a trace write the drawing down."""
    if source is not None and not callable(source) and not isinstance(source, np.random.Generator):
        raise TypeError(
            f"source must be a generator, np.random.default_rng(seed), and is {source!r}; "
            "tg.random.seed(number) seeds the shared one"
        )
    get = source if callable(source) else generator if source is None else lambda: source
    trace = current_trace()
    if trace is not None:
        return trace.draw(get, method, args)
    return getattr(get(), method)(*args)
