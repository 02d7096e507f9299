"""Emit loops: a `Loop` as a Python function over elements, which Numba compiles.

Each array is indexed where the loop is; where all lie in memory in the same way, one loop goes over their
elements as they lie there. Numbers are converted to the type that NumPy would compute in.
"""

import functools
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..rules.shapes import astype
from .loops import BOOL, TEXTS, Loop, operand_types
from .naming import Unique
from .simplify import reads
from .standin import Traced
from .trace import Call

WIDTH = 90  # of a line that is not broken
# as NumPy's maximum and minimum, which prefer NaN, and on a tie the second argument
FUNCTIONS = {
    "larger": "return a if a > b or a != a else b",
    "smaller": "return a if a < b or a != a else b",
}
DECORATOR = '@njit(error_model="numpy", nogil=True)'


def helpers(loops: Iterable[str]) -> list[str]:
    """Write the functions that loops call."""
    text = "\n".join(loops)
    called = {name: body for name, body in FUNCTIONS.items() if f"{name}(" in text}
    return [f"{DECORATOR}\ndef {name}(a, b):\n    {body}" for name, body in called.items()]


@functools.lru_cache(maxsize=1000)
def compiled_loop(name: str, text: str) -> Any:
    """Return the function of a text; the same one for the same text, so that it is compiled only once."""
    world: dict[str, Any] = {}
    exec("\n".join(["import numpy as np", "from numba import njit", *helpers([text]), text]), world)
    return world[name]


def written(loop: Loop, name: str, wish: Callable[[Traced], str]) -> Iterator[str]:
    """Write a loop as a function of its inputs and of the arrays for its results.

    `wish` tells what a value should be called.
    """
    unique = Unique("njit", *FUNCTIONS, *"ijk")
    outs, whole = loop.outs, loop.outs[0].shape
    names = {value: unique(wish(value)) for value in (*loop.inputs, *outs)}
    yield DECORATOR
    yield from call_text(f"def {name}", list(names.values()), ":")
    arrays = [value for value in names if isinstance(value.example, np.ndarray)]
    turn = _turn(arrays, whole)
    if turn is None:
        letters = _letters(whole)
        place = {value: f"{names[value]}{_index(value.shape, whole)}" for value in arrays}
        around = [(letter, f"{names[outs[0]]}.shape[{axis}]") for axis, letter in enumerate(letters)]
        if all(value.example.flags.f_contiguous for value in outs):
            around.reverse()  # the innermost loop goes over elements that lie beside each other
    else:
        flat = {value: unique(f"{names[value]}_flat") for value in arrays}
        letters = ["i"]
        for value in arrays:
            yield f"    {flat[value]} = {names[value]}{turn}.ravel()"
        place = {value: f"{flat[value]}[i]" for value in arrays}
        around = [("i", f"{flat[outs[0]]}.size")]
    for depth, (letter, end) in enumerate(around, 1):
        yield f"{'    ' * depth}for {letter} in range({end}):"
    margin = "    " * (len(around) + 1)
    texts = names | place
    again = {value for call in loop.calls for value in reads(call)}
    for call in loop.calls:
        out, expression = call.out, _expression(call, texts)
        if out not in names or out in again:
            texts[out] = unique(f"{wish(out)}_{''.join(letters)}" if out in names else wish(out))
            yield f"{margin}{texts[out]} = {expression}"
            expression = texts[out]
        if out in names:
            yield f"{margin}{place[out]} = {expression}"


def call_text(function: str, args: list[str], end: str = "") -> list[str]:
    """Write a call, or the head of a function: on one line if it fits."""
    line = f"{function}({', '.join(args)}){end}"
    if len(line) <= WIDTH:
        return [line]
    rows = textwrap.wrap(", ".join(args) + ",", WIDTH, break_long_words=False)
    return [f"{function}(", *(f"    {row}" for row in rows), f"){end}"]


def _turn(arrays: list[Traced], shape: tuple[int, ...]) -> str | None:
    """Tell how to make long arrays of all, for one loop: as they are, transposed, or not at all (None)."""
    if len(shape) < 2 or any(value.shape != shape for value in arrays):
        return None
    if all(value.example.flags.c_contiguous for value in arrays):
        return ""
    return ".T" if all(value.example.flags.f_contiguous for value in arrays) else None


def _letters(shape: tuple[int, ...]) -> list[str]:
    return list("ijk"[: len(shape)]) if len(shape) <= 3 else [f"i{axis}" for axis in range(len(shape))]


def _index(shape: tuple[int, ...], whole: tuple[int, ...]) -> str:
    """Write the index of an array that is broadcast to the `whole` shape."""
    if not shape:
        return "[()]"
    added = len(whole) - len(shape)
    axes = zip(shape, whole[added:], _letters(whole)[added:], strict=True)
    return f"[{', '.join('0' if n == 1 != total else letter for n, total, letter in axes)}]"


def _expression(call: Call, texts: dict[Traced, str]) -> str:
    """Write a call for one element."""
    kinds = operand_types(call)
    assert kinds is not None, "only joinable calls are in loops"
    operands = []
    for arg, kind in zip(call.args, kinds, strict=False):  # the type that astype takes is no operand
        text = texts[arg] if type(arg) is Traced else _number(arg)
        same = type(arg) is Traced and getattr(arg.example, "dtype", None) == kind
        operands.append(text if same or kind is BOOL else f"np.{kind.name}({text})")
    if call.fn is astype:
        wanted = call.out.dtype
        return f"{operands[0]} != 0" if wanted is BOOL else f"np.{wanted.name}({operands[0]})"
    return TEXTS[call.fn].format(*operands)


def _number(value: Any) -> str:
    """Write a constant."""
    number = value.item() if isinstance(value, (np.generic, np.ndarray)) else value
    return repr(number) if np.isfinite(number) else f"np.{number}".replace("np.-", "-np.")
