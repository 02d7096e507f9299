"""Words for values that somebody else chose: names, numbers, shapes and arguments as short, harmless text.

A name is data, never markup. `visible` makes every character of it show itself (a control character, a
text-direction mark or half a surrogate pair as an escape); who writes HTML or DOT escapes what it returns.
"""

import unicodedata
from typing import Any

import numpy as np

LONGEST = 40  # characters of a name that are shown


def visible(text: object, limit: int = LONGEST) -> str:
    r"""Return text in which nothing is hidden, at most `limit` characters long.

    >>> visible("a\0b\x1b[31m")
    'a\\x00b\\x1b[31m'
    >>> visible("x" * 100, limit=10)
    'xxxxxxxxx…'
    >>> visible("")
    "''"
    """
    whole = str(text)
    shown = "".join(_shown(character) for character in whole[: limit + 1])
    if len(whole) > limit or len(shown) > 4 * limit:
        shown = "".join(_shown(character) for character in whole[: limit - 1])[: 4 * limit] + "…"
    return shown or "''"


def _shown(character: str) -> str:
    code = ord(character)
    if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"):
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def short_name(name: str | None) -> str | None:
    """Return the last part of a dotted name if a formula can use it as a symbol, else None."""
    last = (name or "").rpartition(".")[2]
    return last if last.isidentifier() and len(last) <= 6 else None


def number(value: Any) -> str:
    """Write a number in a few digits.

    >>> number(2.30561234), number(1e-9), number(784)
    ('2.306', '1e-09', '784')
    """
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (int, np.integer)) and abs(int(value)) < 1e9:
        return str(int(value))
    return f"{float(value):.4g}" if isinstance(value, (int, float, np.number)) else visible(value)


def shape_text(shape: Any) -> str:
    """Write a shape as Python does, and that of a scalar as a word."""
    return str(tuple(int(n) for n in shape)) if len(shape) else "scalar"


def is_array(value: Any) -> bool:
    """Tell whether an argument is an array with at least one axis, of NumPy or a library that speaks it."""
    return hasattr(value, "__array_function__") and len(getattr(value, "shape", ())) > 0


def spelled(value: Any, depth: int = 3) -> str:
    """Write an argument that is not an array the way it looks in a call.

    >>> spelled((slice(1, None), None, Ellipsis)), spelled(np.dtype("float32")), spelled([0, 1])
    ('(1:, None, ...)', 'float32', '[0, 1]')
    """
    if isinstance(value, slice):
        parts = ["" if p is None else spelled(p, 0) for p in (value.start, value.stop, value.step)]
        return ":".join(parts if parts[2] else parts[:2])
    if value is Ellipsis:
        return "..."
    if value is None or isinstance(value, (bool, int, float, np.bool_, np.number)):
        return number(value) if value is not None else "None"
    if isinstance(value, str):
        return visible(repr(value), 30)
    if is_array(value):
        return f"array{shape_text(value.shape).replace(' ', '')}"
    if isinstance(value, (list, tuple)):
        return _sequence(value, depth)
    if isinstance(value, (type, np.dtype)):
        return visible(getattr(value, "name", None) or getattr(value, "__name__", "type"))
    return visible(f"<{type(value).__name__}>") if not hasattr(value, "item") else spelled(value.item(), 0)


def _sequence(value: Any, depth: int) -> str:
    opening, closing = "[]" if isinstance(value, list) else "()"
    if depth == 0:
        return f"{opening}…{closing}"
    items = [spelled(item, depth - 1) for item in value[:6]]
    if len(value) > 6:
        items.append("…")
    comma = "," if len(value) == 1 and closing == ")" else ""
    return opening + ", ".join(items) + comma + closing
