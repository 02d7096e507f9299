"""Scalars: a number read out of a Tensor, which no gradient follows. Easy where meant, a warning where not.

``float(loss)``, ``loss.item()``, a format or ``print`` ask for a number. ``math.sin(w)`` and ``out[0] = w``
take one without asking; and a number that was read and then meets a Tensor in a call was not only looked at.
Both warn, once for each line. (Inside a transform reading a number raises, see `Tensor.item`.)
"""

import re
import sys
from types import CodeType
from typing import Any

from .callsites import Place, expression_at, internal, warn

_ASKS = re.compile(r"(?<![\w.])(float|int|complex|round)\b|%|format|\bis(nan|inf|finite|close)\b")
_KEPT = 64  # how many numbers are remembered: one that meets a Tensor does so soon after it was read
_read: dict[int, float] = {}  # by id, which stays theirs as long as they are kept
_taken: dict[int, tuple[CodeType, dict[int, str]]] = {}  # what was found out, by the code's id, and the place


class ScalarWarning(UserWarning):
    """Says that a number was taken out of a Tensor that needs a gradient, and that no gradient follows it."""


def remember(number: Any) -> Any:
    """Return a number that was read out of a Tensor, to be recognized if it comes back."""
    if type(number) is float:
        _read[id(number)] = number
        if len(_read) > _KEPT:
            _read.pop(next(iter(_read)), None)
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
        ours = internal[code.co_filename]
        expressions[instruction] = "" if ours else _taken_by((code, instruction))
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
    """Return the expression that takes a number there, unless it asks for one."""
    expression = expression_at(place)
    return "" if _ASKS.search(expression) else expression
