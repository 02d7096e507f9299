"""Functions of one's own that are one call: `primitive` for gradients, `opaque` for captured programs.

As with NumPy's functions, it is the arguments that take such a call over (compare NEP 18): a Tensor has a
method ``__primitive__`` that records it, an array under capture a method ``__opaque__`` that writes it down.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from ..containers import LEAVES, leaves
from . import Function, enter

P = ParamSpec("P")
R = TypeVar("R")


def primitive(
    *vjps: Function | None, elementwise: bool = False, saves: bool = False
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Turn a function of arrays, written in NumPy, into one recorded call with a gradient rule of its own.

    Each of `vjps` is a line ``vjp(g, y, *args)`` for the argument at its place, as in `rule`. In a picture
    the function is one node; on plain arrays it stays the plain function it was. One that returns several
    arrays, in a tuple, list, dict or dataclass, gets `g` and `y` as a tuple of them.

    A function with `saves` returns a pair: its result, and something costly that its rule can use again. The
    rule gets it as the keyword ``saved``, or None where it is to compute it anew, from Tensors, for gradients
    of gradients.

    Raises:
        TypeError: the function came first; the rules do.

    >>> import tinygrad_edu as tg
    >>> @tg.primitive(lambda g, y, x: g * 3 * x * x)
    ... def cube(x):
    ...     return x * x * x
    >>> x = tg.Tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    Tensor(12.0)
    >>> cube(2.0)
    8.0
    """

    def decorate(fn: Callable[P, Any]) -> Callable[P, Any]:
        if not callable(fn):
            raise TypeError(
                "primitive takes the gradient rules first, and the function after them:  "
                "@tg.primitive(lambda g, y, x: ...)  above its def"
            )
        enter(fn, *vjps, elementwise=elementwise, saves=saves)

        @functools.wraps(fn)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            taker = _taker("__primitive__", args, kwargs)
            if taker is not None:
                return taker.__primitive__(fn, args, kwargs)
            return fn(*args, **kwargs)[0] if saves else fn(*args, **kwargs)

        return call

    return decorate


def opaque(fn: Callable[P, R]) -> Callable[P, R]:
    """Have capture write down a call of `fn` as one call, and not look at what happens inside.

    For functions that write into arrays of their own, or call code that takes nothing but plain arrays. It
    must be a function of its arguments alone.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> @tg.primitive(lambda g, y, x: g * (x > 0))
    ... @tg.opaque
    ... def relu(x):
    ...     y = np.array(x)
    ...     y[y < 0] = 0
    ...     return y
    >>> tg.jit(tg.grad(lambda x: np.sum(relu(x))))(np.array([-1.0, 2.0]))
    array([0., 1.])
    """

    @functools.wraps(fn)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        taker = _taker("__opaque__", args, kwargs)
        if taker is None:
            return fn(*args, **kwargs)
        taken: R = taker.__opaque__(fn, args, kwargs)
        return taken

    call.opaque = True  # type: ignore[attr-defined]  # so that nobody looks for what it reads
    return call


def _taker(word: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Find an argument that takes a call over, or one inside a container; None if there is none."""
    for arg in args:
        if hasattr(type(arg), word):
            return arg
    opened = [arg for arg in (*args, *kwargs.values()) if type(arg) not in LEAVES]
    return next((leaf for leaf in leaves(opened) if hasattr(type(leaf), word)), None)
