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
from .facts import facts
from .loops import BOOL, Loop, operand_types
from .naming import Unique
from .trace import Call
from .traced import Traced

WIDTH = 96  # of a line that is not broken
# as NumPy's maximum and minimum, which prefer NaN, and on a tie the second argument
FUNCTIONS = {
    "larger": "return a if a > b or a != a else b",
    "smaller": "return a if a < b or a != a else b",
}
RESERVED = ("njit", *FUNCTIONS)  # names that loops need, and nothing else may have
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
    whole = loop.outs[0].shape
    unique = Unique(*RESERVED, "i", *_letters(whole))
    names = {value: unique(wish(value)) for value in (*loop.inputs, *loop.outs)}
    yield DECORATOR
    yield from call_text(f"def {name}", list(names.values()), ":")
    arrays = {value: array for value, array in names.items() if isinstance(value.example, np.ndarray)}
    turn = _turn(list(arrays), whole)
    if turn is None:
        elements = {value: array + _index(value.shape, whole) for value, array in arrays.items()}
        ends = [f"{names[loop.outs[0]]}.shape[{axis}]" for axis in range(len(whole))]
        around = list(zip(_letters(whole), ends, strict=True))
        if all(value.example.flags.f_contiguous for value in loop.outs):
            around.reverse()  # the innermost loop goes over elements that lie beside each other
    else:
        flat = {value: unique(f"{array}_flat") for value, array in arrays.items()}
        for value in loop.inputs:  # ravel copies a parameter that lies in another order than it did
            if value in flat:
                yield f"    {flat[value]} = {names[value]}{turn}.ravel()"
        for value in loop.outs:  # and reshape refuses to: what is written must not be a copy
            yield f"    {flat[value]} = {names[value]}{turn}.reshape(-1)"
        elements = {value: f"{array}[i]" for value, array in flat.items()}
        around = [("i", f"{flat[loop.outs[0]]}.size")]
    for depth, (letter, end) in enumerate(around, 1):
        yield f"{'    ' * depth}for {letter} in range({end}):"
    texts = names | elements
    for call in loop.calls:
        expression = _expression(call, texts)
        texts.setdefault(call.out, unique(wish(call.out)))  # an array's element, or a name of its own
        yield f"{'    ' * len(around)}    {texts[call.out]} = {expression}"


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
    if call.fn is astype:
        return _converted(call.args[0], call.out.dtype, texts)
    operands = [_converted(arg, kind, texts) for arg, kind in zip(call.args, kinds, strict=True)]
    return facts(call.fn).loop.format(*operands)


def _converted(arg: Any, kind: np.dtype[Any], texts: dict[Traced, str]) -> str:
    """Write an argument as a number of the type that the call computes in."""
    if type(arg) is not Traced:
        return _number(arg, kind)
    if getattr(arg.example, "dtype", None) == kind:
        return texts[arg]
    return f"np.{kind.name}({texts[arg]})"


def _number(value: Any, kind: np.dtype[Any]) -> str:
    """Write a constant, rounded as NumPy does it."""
    with np.errstate(over="ignore"):
        number = kind.type(value).item()
    text = repr(number) if np.isfinite(number) else f"np.{number}".replace("np.-", "-np.")
    return text if kind is BOOL else f"np.{kind.name}({text})"
