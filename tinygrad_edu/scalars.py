"""Scalars: a number read out of a Tensor, which no gradient follows. Easy where meant, a warning where not.

``float(loss)``, ``loss.item()``, a format or ``print`` ask for a number. ``math.sin(w)`` and ``out[0] = w``
take one without asking; and a number that was read and then meets a Tensor in a call was not only looked at.
Both warn, once for each line. (Inside a transform reading a number raises, see `Tensor.item`.)
"""

import dis
import itertools
import re
import sys
from types import CodeType
from typing import Any, TypeVar

from .callsites import Place, expression_at, is_users, warn

T = TypeVar("T")

# how an expression begins, or what it hands on, that asks for a number (one that looks at it among them)
_ASKS = re.compile(
    r"(float|int|complex|round|range|print|str|repr|format)\(|math\.(is\w+|floor|ceil|trunc)\(|.*\.format\("
    r"|.*[(,=]\s*(float|int)\s*[,)]"
)
_KEPT = 64  # how many numbers are remembered: one that meets a Tensor does so soon after it was read
_read: dict[int, Any] = {}  # by id, which stays theirs as long as they are kept
_ring: list[Any] = [None] * _KEPT  # the same numbers
_turn = itertools.count()
_taken: dict[int, tuple[CodeType, dict[int, str]]] = {}  # what was found out, by the code's id, and the place


class ScalarWarning(UserWarning):
    """Says that a number was taken out of a Tensor that needs a gradient, and that no gradient follows it."""


def remember(number: T) -> T:
    """Return a number that was read out of a Tensor, to be recognized if it comes back."""
    if type(number) is float:
        place = next(_turn) % _KEPT
        _read.pop(id(_ring[place]), None)
        _ring[place] = _read[id(number)] = number
    return number


def was_read(number: float) -> bool:
    """Tell whether this very number was read out of a Tensor that needs a gradient, not long ago."""
    return id(number) in _read


def warn_if_taken() -> None:
    """Warn where the user's line did not ask for the number that ``__float__`` of a Tensor gives."""
    frame: Any = sys._getframe(2)
    code, instruction = frame.f_code, frame.f_lasti
    _, expressions = _taken.get(id(code)) or _taken.setdefault(id(code), (code, {}))
    if instruction not in expressions:
        users = is_users(frame.f_globals.get("__name__"))
        expressions[instruction] = _taken_by((code, instruction)) if users else ""
        while len(_taken) > 1000:
            _taken.popitem()
    if expression := expressions[instruction]:
        warn(
            f"{expression} takes a number out of a Tensor that needs a gradient, and no gradient follows it; "
            "use NumPy's function (np.sin for math.sin), or np.stack([a, b]) instead of out[0] = a; write "
            "float(w.detach()) if only the number is meant",
            ScalarWarning,
        )


def warn_of_read(name: str) -> None:
    """Warn that a call was given a number that was read out of a Tensor."""
    warn(
        f"{name} is given a number that was read out of a Tensor (by float or item), and no gradient follows "
        "it; give it the Tensor itself, or write w.detach() if none should",
        ScalarWarning,
    )


def _taken_by(place: Place) -> str:
    """Return the expression that takes a number there, unless it asks for one.

    A call or an assignment takes one; ``"%f" % w`` and ``for x in map(float, w)`` ask for it.
    """
    code, instruction = place
    operation = next((i.opname for i in dis.get_instructions(code) if i.offset == instruction), "")
    expression = expression_at(place)
    takes = operation.startswith(("CALL", "STORE_SUBSCR")) and not _ASKS.match(expression)
    return expression if takes else ""
