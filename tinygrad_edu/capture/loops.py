"""Loops: calls that work element by element, as one loop that keeps what is in between in registers.

NumPy makes an array of every result, and so goes through memory once for each call. A loop does for one
element what all of the calls do, before it turns to the next. `looped` finds calls that follow each other and
makes one call of a `Loop` of them; `written` writes a loop as a Python function, which Numba compiles. Only
operations are joined whose result IEEE 754 prescribes to the last bit, so that the loop gives what the calls
gave.
"""

import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..rules.shapes import astype
from .simplify import reads
from .standin import PLAIN, Traced
from .trace import Call

WIDTH = 90  # of a line that is not broken
LONGEST = 24  # calls in a loop: longer ones compile slowly, and find no registers

# how a call is written for one element
TEXTS: dict[Any, str] = {
    **{np.add: "{0} + {1}", np.subtract: "{0} - {1}", np.multiply: "{0} * {1}", np.divide: "{0} / {1}"},
    **{np.negative: "-{0}", np.square: "{0} * {0}", np.sqrt: "np.sqrt({0})", np.absolute: "abs({0})"},
    **{np.greater: "{0} > {1}", np.greater_equal: "{0} >= {1}", np.less: "{0} < {1}"},
    **{np.less_equal: "{0} <= {1}", np.equal: "{0} == {1}", np.not_equal: "{0} != {1}"},
    **{np.where: "{1} if {0} else {2}", astype: "{0}"},
    **{np.maximum: "larger({0}, {1})", np.minimum: "smaller({0}, {1})"},
}
# as NumPy's maximum and minimum, which prefer NaN, and on a tie the second argument
FUNCTIONS = {
    "larger": "return a if a > b or a != a else b",
    "smaller": "return a if a < b or a != a else b",
}
DECORATOR = '@njit(error_model="numpy", nogil=True)'
BOOL, FLOATS = np.dtype(bool), (np.dtype(np.float32), np.dtype(np.float64))


class Loop:
    """Several calls as one. `inputs` are what they read from outside, `outs` the results that others read."""

    __name__ = "loop"
    __module__ = __name__

    def __init__(self, calls: list[Call], outs: list[Traced]):
        self.calls, self.outs = calls, outs
        made = {call.out for call in calls}
        self.inputs = [v for v in dict.fromkeys(v for call in calls for v in reads(call)) if v not in made]


def results(call: Call) -> list[Traced]:
    """List what a call makes."""
    return call.fn.outs if isinstance(call.fn, Loop) else [call.out]


def looped(calls: list[Call], kept: Iterable[Traced]) -> list[Call]:
    """Join calls that follow each other into loops. What is `kept` is read from outside the program."""
    kept = set(kept)
    readers: dict[Traced, list[Call]] = {}
    for call in calls:
        for value in reads(call):
            readers.setdefault(value, []).append(call)
    done: list[Call] = []
    steps: list[Call] = []  # of the loop that is being put together
    for part in _postponed(calls, readers, kept):
        if _can_come_before(part[-1], steps):
            done += part
            continue
        fits = is_joinable(part[-1]) and len(steps) + len(part) <= LONGEST
        if steps and not (fits and part[-1].out.shape == steps[-1].out.shape):
            done.append(_one(steps, readers, kept))
            steps = []
        if is_joinable(part[-1]):
            steps = steps + part
        else:
            done += part
    return [*done, _one(steps, readers, kept)] if steps else done


def _postponed(calls: list[Call], readers: dict[Traced, list[Call]], kept: set[Traced]) -> list[list[Call]]:
    """Put each call whose result is read just once right before its reader, if the two can be joined."""
    waiting: dict[Traced, list[Call]] = {}  # results that are not computed yet, and the calls that will do it
    done: list[list[Call]] = []
    for call in calls:
        parts = [waiting.pop(value) for value in reads(call) if value in waiting]
        steps = [step for part in parts for step in part] + [call]
        reader = readers.get(call.out, [])
        alone = len(reader) == 1 and call.out not in kept and len(steps) < LONGEST
        if alone and is_joinable(call) and is_joinable(reader[0]) and reader[0].out.shape == call.out.shape:
            waiting[call.out] = steps
        else:
            done.append(steps)
    return done


def _can_come_before(call: Call, steps: list[Call]) -> bool:
    """Tell whether a call that stands after some others may stand before them.

    It does if it computes a number from numbers, or is a view, of something that the others do not make.
    """
    looks = call.lender is not None
    arrays = [
        value for value in [call.out, *reads(call)] if isinstance(value.example, (np.ndarray, tuple, list))
    ]
    made = {step.out for step in steps}
    return (looks or not arrays) and made.isdisjoint(reads(call))


def _one(calls: list[Call], readers: dict[Traced, list[Call]], kept: set[Traced]) -> Call:
    """Return one call for several, which stands where the last of them stood."""
    last = calls[-1]
    if len(calls) == 1:
        return last
    inside = set(calls)
    outs = [c.out for c in calls if c.out in kept or not inside.issuperset(readers.get(c.out, ()))]
    loop: Any = Loop(calls, outs)
    call = Call(loop, tuple(loop.inputs), {}, last.place, last.node)
    call.scope, call.out = last.scope, last.out
    return call


def is_joinable(call: Call) -> bool:
    """Tell whether a call can be part of a loop: it is exact, and of arrays of floating-point numbers."""
    out = call.out.example
    if call.fn not in TEXTS or call.kwargs or call.errors or type(out) is not np.ndarray:
        return False
    if not out.size or not out.ndim:
        return False
    return _operands(call) is not None and out.dtype in (BOOL, *FLOATS)


def _operands(call: Call) -> list[np.dtype[Any]] | None:
    """Return the types that a call converts its arguments to before it computes; None if not for a loop."""
    kinds = [_kind(arg) for arg in (call.args[:1] if call.fn is astype else call.args)]
    if any(kind is None for kind in kinds):  # dtype == None is true of float64
        return None
    if call.fn is astype:
        return kinds if kinds[0] in (BOOL, *FLOATS) else None
    if call.fn is np.where:
        out = call.out.dtype
        return [BOOL, out, out] if kinds[0] is BOOL and out in FLOATS else None
    ufunc: Any = call.fn
    resolved = list(ufunc.resolve_dtypes((*kinds, None)))[:-1]
    return resolved if all(kind in FLOATS for kind in resolved) else None


def _kind(arg: Any) -> Any:
    """Return the type of an argument's elements; Python's own for its numbers; None if not for a loop."""
    example = arg.example if type(arg) is Traced else arg
    if type(example) in PLAIN:
        return BOOL if type(example) is bool else type(example)
    constant = type(arg) is not Traced and np.ndim(example)  # arrays have to come in as arguments
    dtype = None if constant else getattr(example, "dtype", None)
    return dtype if dtype in (BOOL, *FLOATS) else None


def helpers(text: list[str]) -> Iterator[str]:
    """Write the functions that the text of loops calls."""
    for name, body in FUNCTIONS.items():
        if any(f"{name}(" in line for line in text):
            yield from (DECORATOR, f"def {name}(a, b):", f"    {body}", "", "")


def written(
    loop: Loop, name: str, wish: Callable[[Traced], str], unique: Callable[[str], str]
) -> Iterator[str]:
    """Write a loop as a function of its inputs and of the arrays for its results.

    `wish` tells what a value should be called, and `unique` makes another name of one that is taken.
    """
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
    kinds = _operands(call)
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
