"""Anomalies: which call made the first NaN or infinity, on the way forwards or backwards.

The one idea: inside ``with detect_anomaly()`` a `Watch` stands in the state (see `state`). Every call that
`apply` makes, and every gradient rule of a backward pass, then runs under its eyes: it compares what came out
with what went in. Elsewhere nothing is looked at, and nothing costs time.
"""

import linecache
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .callsites import line_of, users_place
from .containers import leaves
from .recording import Node, Recorded
from .rules import RULES, Function, function_name
from .state import Block, State, current_state

# likely causes, by the functions they are known of: in a call, in its gradient rule, and in general
_CALLS = {
    "log log2 log10 log1p": "the logarithm of 0 is -inf, and of a negative number NaN; keep away from 0, "
    "np.log(np.maximum(x, 1e-7)), or use a loss that takes logits, such as nn.softmax_cross_entropy",
    "exp exp2 expm1 sinh cosh": "exp overflows above 88 in float32 and above 709 in float64; subtract the "
    "largest value first, or use nn.softmax, nn.log_softmax or nn.sigmoid, which do",
    "divide reciprocal remainder floor_divide": "a division by 0, of which 0/0 is NaN; add a small number to "
    "the divisor, or replace its zeros, np.where(d == 0, 1, d)",
    "sqrt": "the square root of a negative number is NaN; np.sqrt(np.maximum(x, 0)) is not",
    "power": "0 to a negative power is infinite, a negative number to a fraction NaN; large powers overflow",
    "arcsin arccos arctanh": "the argument must lie between -1 and 1; np.clip it",
}
_RULES = {
    "log log2 log10 log1p divide reciprocal": "the slope grows without bound near 0; keep what is taken the "
    "logarithm of, or divided by, away from 0, np.maximum(x, 1e-7)",
    "sqrt power norm std arcsin arccos": "the slope is infinite there, as that of np.sqrt is at 0; stay away "
    "from it, np.sqrt(x + 1e-12)",
}
_HANDED_ON = "the data hold NaN, or the weights do since the last step, which was too large (learning rate)"
_TOO_LARGE = (
    "numbers grew too large; try a smaller learning rate, scaled inputs (x / 255), or clipped gradients"
)


class detect_anomaly(Block):  # noqa: N801 (used like no_grad)
    """Raise an error at the first call in a ``with`` block, forward or backward, that makes NaN or infinity.

    The message names the call, your line, what the call was given, and likely causes. Looking takes time, and
    a jitted function, and so `fit`, runs call by call. NaN that a call is given and hands on counts too;
    infinity does not, since masks are made of it. Forward mode (`jvp`) has its calls looked at, but not its
    tangents.

    Raises:
        FloatingPointError: inside the block, by the call that made NaN or infinity.
        CaptureError: it is used inside a jitted function; put it around the call.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> p = tg.Tensor([0.5, 0.0], requires_grad=True)
    >>> with tg.detect_anomaly():  # doctest: +ELLIPSIS
    ...     loss = -np.sum(np.log(p))
    Traceback (most recent call last):
        ...
    FloatingPointError: np.log made -inf, at [1] of shape (2,)
      line 2 of <doctest ...>: loss = -np.sum(np.log(p))
      given: argument 1 of shape (2,): 0 to 0.5
      likely: the logarithm of 0 is -inf, ...
    """

    __slots__ = ()

    def changed(self, now: State) -> State:
        """Return the state inside the block."""
        if now.trace is not None:
            raise now.trace.refusal("detect_anomaly inside the function", "put it around the call")
        return State(now.recording, now.scope, now.transforms, None, Watch(), now)


class Watch:
    """Looks at what calls and gradient rules are given, and at what they make of it."""

    def call(self, fn: Function) -> Function:
        """Return a function that does what `fn` does, and looks at it."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            with np.errstate(all="ignore"):
                value = fn(*args, **kwargs)
            recipe = RULES.get(fn)
            made = value[0] if recipe is not None and recipe.saves else value
            given = {f"argument {i}": arg for i, arg in enumerate(args, 1)} | kwargs
            if wrong := _first_wrong(given, made):
                raise _error(function_name(fn), given, *wrong, line_of(users_place()), current_state().scope)
            return value

        return watched

    def rule(
        self, shares: Callable[..., Any], node: Node, vertex: Recorded, total: Any, create_graph: bool
    ) -> Any:
        """Run a call's gradient rule, and look at it."""
        arguments = {f"argument {i}": array for i, array in enumerate(node.arrays, 1)}
        given = {"gradient": total, "result": vertex._data} | arguments
        with np.errstate(all="ignore"):
            found = shares(node, vertex, total, create_graph)
        if wrong := _first_wrong(given, [part for _, part in found]):
            who = f"the gradient rule of {function_name(node.fn)}"
            raise _error(who, given, *wrong, node.source(), node.scope)
        return found


def _first_wrong(given: dict[str, Any], made: Any) -> tuple[Any, list[int]] | None:
    """Find NaN in what was made, or infinity where none was given: the array, and the place in it."""
    if all(np.isfinite(array).all() for array in _arrays(made)):
        return None
    infinite = any(np.isinf(array).any() for value in given.values() for array in _arrays(value))
    for array in _arrays(made):
        places = np.argwhere(np.isnan(array) if infinite else ~np.isfinite(array))
        if len(places):
            return array, places[0].tolist()
    return None


def _error(
    who: str,
    given: dict[str, Any],
    wrong: Any,
    where: list[int],
    source: tuple[str, int],
    scope: tuple[str, ...],
) -> FloatingPointError:
    """Say which call it was, what it was given, and why that may be."""
    arrays = [(key, array) for key, value in given.items() for array in _arrays(value)]
    handed_on = any(np.isnan(array).any() for _, array in arrays)
    causes, name = _RULES if "gradient" in given else _CALLS, who.rpartition(".")[2]
    known = next((cause for names, cause in causes.items() if name in names.split()), _TOO_LARGE)
    (file, line), layers = source, "/".join(scope)
    return FloatingPointError(
        f"{who} {'handed on' if handed_on else 'made'} {wrong[tuple(where)]:.3g}"
        f"{f', at {where} of shape {wrong.shape}' if where else ''}\n"
        f"  line {line} of {os.path.basename(file)}{layers and f', in {layers}'}: "
        f"{linecache.getline(file, line).strip()}\n"
        f"  given: {'; '.join(key + _range(array) for key, array in arrays) or 'no floats'}\n"
        f"  likely: {_HANDED_ON if handed_on else known}"
    )


def _arrays(value: Any) -> list[Any]:
    """List the arrays of floats in an argument or result."""
    found = [leaf._data if isinstance(leaf, Recorded) else leaf for leaf in leaves(value)]
    return [
        np.asarray(x)
        for x in found
        if isinstance(x, (np.ndarray, np.floating, float)) and np.asarray(x).dtype.kind == "f"
    ]


def _range(array: Any) -> str:
    """Write an array's shape, and its smallest and largest number."""
    shape = f" of shape {array.shape}: " if array.ndim else ": "
    finite = array[np.isfinite(array)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 0)
    numbers = "" if not finite.size else f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    broken = [word for word, has in (("NaN", np.isnan(array).any()), ("inf", np.isinf(array).any())) if has]
    return shape + (" and ".join([*([numbers] if numbers else []), *broken]) or "empty")
