"""Simplify: the same results from fewer and faster calls. Each pass is one small function.

`lowered` replaces calls by what NumPy's own functions do inside. `smaller` holds the algebra: only steps
that change no bit of the result. `without_repeats` finds calls made twice (the forward pass computes what a
gradient rule asks for again), `without_dead` drops what nobody reads. Constants never get here: what no
input went into was computed while tracing, and not written down.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..rules.shapes import astype
from .standin import PLAIN, Traced, traced_in
from .trace import Call, Draw, Record

Function = Callable[..., Any]
NO_VALUE: Any = np._NoValue  # "not given", in NumPy's own defaults

REDUCTIONS: dict[Function, np.ufunc] = {
    np.sum: np.add,
    np.max: np.maximum,
    np.min: np.minimum,
    np.amax: np.maximum,
    np.amin: np.minimum,
    np.prod: np.multiply,
    np.any: np.logical_or,
    np.all: np.logical_and,
}


class Simplified(NamedTuple):
    """The calls that are left, what stands for values now, and how many calls each pass left.

    `current` is for values that are read on, `outward` for those that are handed out: where the caller would
    have got a copy that the program needs none of, he gets one all the same.
    """

    calls: list[Call]
    current: Callable[[Any], Any]
    outward: Callable[[Any], Any]
    counts: list[tuple[str, int]]


def simplify(record: Record) -> Simplified:
    """Run the passes of this module."""
    counts = [("traced", len(record.calls))]
    now: dict[Traced, Any] = {}
    handed: dict[Traced, Any] = {}
    copies: set[Traced] = set()  # arrays of their own that are, or look at, another value's array now

    def current(value: Any) -> Any:
        return substituted(value, now)

    def outward(value: Any) -> Any:
        return current(substituted(value, handed))

    calls = with_algebra(record.calls, now, copies)
    counts.append(("algebra", len(calls)))
    calls = without_repeats(calls, now, copies)
    counts.append(("common subexpressions", len(calls)))
    given = [record.result, [gradient for _, gradient in record.gradients]]
    for value in dict.fromkeys(traced_in(given)):
        if value in copies and isinstance(value.example, np.ndarray):
            copy = Call(astype, (current(value), value.dtype), {}, None)
            copy.out = handed[value] = Traced(value.tracing, value.example, copy, value.name)
            calls.append(copy)
    wanted = [outward(given), current([value for _, value in record.updates])]
    calls = without_dead(calls, traced_in(wanted))
    counts.append(("dead code", len(calls)))
    return Simplified(calls, current, outward, counts)


def with_algebra(calls: list[Call], now: dict[Traced, Any], copies: set[Traced]) -> list[Call]:
    """Lower every call, and leave out those whose result equals another value."""
    kept: list[Call] = []
    for call in calls:
        _note_copies(call, copies)
        looking = call.lender is not None
        _substitute(call, now)
        lowered(call)
        fn = call.fn
        replacement = smaller(call)
        if not looking and (replacement is not call.out or call.fn is not fn):
            copies.add(call.out)
        if replacement is call.out:
            kept.append(call)
        else:
            now[call.out] = replacement
    return kept


def _note_copies(call: Call, copies: set[Traced]) -> None:
    """Note that what looks at a copy looks at memory that is not its own any more."""
    several = isinstance(call.out.example, (list, tuple))
    if call.lender in copies or (several and not copies.isdisjoint(traced_in(call.args))):
        copies.add(call.out)


def _substitute(call: Call, now: dict[Traced, Any]) -> None:
    """Let a call read what stands for its arguments now."""
    call.args, call.kwargs = substituted(call.args, now), substituted(call.kwargs, now)
    call.lender = substituted(call.lender, now)


def substituted(value: Any, now: dict[Traced, Any]) -> Any:
    """Return an argument with values replaced by what stands for them."""
    kind = type(value)
    if kind is Traced:
        while type(value) is Traced and value in now:
            value = now[value]
        return value
    if kind is list or isinstance(value, tuple):
        items = [substituted(item, now) for item in value]
        return kind(*items) if hasattr(value, "_fields") else kind(items)
    if kind is dict:
        return {key: substituted(item, now) for key, item in value.items()}
    if kind is slice:
        return slice(*substituted((value.start, value.stop, value.step), now))
    return value


def lowered(call: Call) -> None:
    """Replace a function of NumPy's that is written in Python by the faster call that it makes inside."""
    fn, args, kwargs = call.fn, call.args, call.kwargs
    if fn in REDUCTIONS and isinstance(args[0], Traced) and isinstance(args[0].example, np.ndarray):
        given = dict(zip(_reduction_names(fn), args[1:], strict=False)) | kwargs
        given = {key: value for key, value in given.items() if value is not NO_VALUE and value is not None}
        given.setdefault("axis", None)
        if given.get("keepdims") is False:
            del given["keepdims"]
        if isinstance(given["axis"], tuple) and len(given["axis"]) == 1:
            (given["axis"],) = given["axis"]
        if fn not in (np.any, np.all) or args[0].dtype.kind == "b":
            call.fn, call.args, call.kwargs = REDUCTIONS[fn].reduce, args[:1], given
    elif fn is np.transpose and len(args) > 1 and args[1] is None:
        call.args = args[:1]
    elif fn is np.matmul and not kwargs and _are_matrices(*args):
        call.fn = np.dot  # the same product, by a shorter way to BLAS
    elif fn is np.copy and not kwargs and _keeps_order(*args):
        call.fn, call.args = np.positive, args[:1]


def _are_matrices(*args: Any) -> bool:
    """Tell whether factors are matrices of one type, in one block of memory, which BLAS takes as they are."""
    arrays = [arg.example if type(arg) is Traced else arg for arg in args]
    kinds = {getattr(array, "dtype", None) for array in arrays}
    return kinds in ({np.dtype(np.float32)}, {np.dtype(np.float64)}) and all(
        array.ndim == 2 and (array.flags.c_contiguous or array.flags.f_contiguous) for array in arrays
    )


def _keeps_order(array: Any, order: str = "K") -> bool:
    """Tell whether a copy lies in memory as the original does, and can be made by np.positive."""
    if not isinstance(getattr(array, "example", array), np.ndarray):
        return False
    flags, kind = array.flags, array.dtype.kind
    return kind in "fiu" and bool(flags.c_contiguous or (order == "K" and flags.f_contiguous))


def _reduction_names(fn: Function) -> tuple[str, ...]:
    if fn in (np.sum, np.prod):
        return "axis", "dtype", "out", "keepdims", "initial", "where"
    if fn in (np.any, np.all):
        return "axis", "out", "keepdims", "where"
    return "axis", "out", "keepdims", "initial", "where"


def smaller(call: Call) -> Any:
    """Return what a call's result equals, bit for bit, without the call; or its own result."""
    fn, args = call.fn, call.args
    out = call.out
    if fn is np.positive and not call.kwargs and _same_kind(args[0], out):
        return args[0]  # values do not change, so that a copy is as good as the original
    if fn is astype and isinstance(args[0], Traced) and args[0].dtype == args[1]:
        return args[0]
    if fn in (np.transpose, np.swapaxes) and isinstance(args[0], Traced) and args[0].call is not None:
        inner = args[0].call
        if inner.fn is fn and inner.args[1:] == args[1:] and _undoes_itself(fn, args):
            return inner.args[0]
    if isinstance(fn, np.ufunc) and fn.signature is None and not call.kwargs:
        call.args = args = _unspread(call)
        real = getattr(out, "dtype", np.dtype(float)).kind != "c"
        if real and fn in (np.multiply, np.divide) and _is_one(args[1]) and _same_kind(args[0], out):
            return args[0]
        if real and fn is np.multiply and _is_one(args[0]) and _same_kind(args[1], out):
            return args[1]
    if _reduces_nothing(call):
        call.fn, call.args, call.kwargs = np.reshape, (args[0], out.shape), {}
        out.example = args[0].example.reshape(out.shape)
        call.lender = args[0]
        fn = np.reshape
    if fn is np.reshape and not call.kwargs and isinstance(args[0], Traced) and args[0].shape == out.shape:
        return args[0]
    return out


def _reduces_nothing(call: Call) -> bool:
    """Tell whether a sum or maximum goes over single elements, so that it leaves them as they are."""
    reduces = getattr(call.fn, "__name__", "") == "reduce" and isinstance(call.out.example, np.ndarray)
    plain = set(call.kwargs) <= {"axis", "keepdims"} and isinstance(call.args[0], Traced)
    plain = plain and getattr(call.fn, "__self__", None) in REDUCTIONS.values()
    same: bool = (
        reduces and plain and call.args[0].size == call.out.size and call.args[0].dtype == call.out.dtype
    )
    return same and isinstance(call.args[0].example, np.ndarray)


def _same_kind(value: Any, out: Traced) -> bool:
    """Tell whether a value may take the place of another: the same shape, dtype and memory layout."""
    if not isinstance(value, Traced) or type(value.example) is not type(out.example):
        return False
    if type(value.example) in PLAIN:
        return True
    same: bool = value.shape == out.shape and value.dtype == out.dtype
    return same and value.example.strides == out.example.strides


def _is_one(value: Any) -> bool:
    return (type(value) in (int, float) and value == 1) or (isinstance(value, np.generic) and value == 1)


def _undoes_itself(fn: Function, args: Any) -> bool:
    if fn is np.swapaxes:
        return True
    axes = args[1] if len(args) > 1 else None
    return axes is None or all(axes[axes[i]] == i for i in range(len(axes)) if min(axes) >= 0)


def _unspread(call: Call) -> tuple[Any, ...]:
    """Leave out the broadcasting that an elementwise call does anyway, and make uniform constants scalars.

    Not where the result would lie in memory in another order: sums over it would be rounded in another order.
    """
    found = list(call.args)
    shape = np.broadcast_shapes(*map(_shape, found))
    for i, arg in enumerate(call.args):
        inner = arg
        if type(arg) is Traced and arg.call is not None and arg.call.fn is np.broadcast_to:
            inner = arg.call.args[0]
        elif _is_uniform(arg):
            inner = arg.dtype.type(arg.flat[0])
        if inner is not arg and isinstance(getattr(inner, "example", inner), (np.ndarray, np.generic)):
            rest = found[:i] + found[i + 1 :]
            if np.broadcast_shapes(_shape(inner), *map(_shape, rest)) == shape:
                found[i] = inner
    if all(new is old for new, old in zip(found, call.args, strict=True)):
        return call.args
    with np.errstate(all="ignore"):
        again = call.fn(*(arg.example if type(arg) is Traced else arg for arg in found))
    same = not isinstance(again, tuple) and getattr(again, "strides", ()) == getattr(
        call.out.example, "strides", ()
    )
    return tuple(found) if same else call.args


def _is_uniform(array: Any) -> bool:
    """Tell whether all elements of a constant array are one number, also by the sign of zero."""
    if (
        not isinstance(array, np.ndarray)
        or not array.ndim
        or not array.size
        or array.dtype.kind not in "fiub"
    ):
        return False
    signs = array.dtype.kind != "f" or len(set(np.signbit(array).flat)) == 1
    return signs and bool((array == array.flat[0]).all())


def _shape(arg: Any) -> tuple[int, ...]:
    return np.shape(arg.example if type(arg) is Traced else arg)


def without_repeats(calls: list[Call], now: dict[Traced, Any], copies: set[Traced]) -> list[Call]:
    """Drop calls that were made before with the same arguments."""
    seen: dict[Any, Traced] = {}
    kept: list[Call] = []
    for call in calls:
        _note_copies(call, copies)
        _substitute(call, now)
        key = call.pure and _key((call.fn, call.args, call.kwargs))
        if key and key in seen:
            now[call.out] = seen[key]
            if call.lender is None:
                copies.add(call.out)
            continue
        if key:
            seen[key] = call.out
        kept.append(call)
    return kept


def _key(value: Any) -> Any:
    """Return something hashable that is equal for equal arguments of a call."""
    kind = type(value)
    if kind is list or isinstance(value, tuple):
        return (kind, *map(_key, value))
    if kind is dict:
        return (kind, *((key, _key(item)) for key, item in sorted(value.items())))
    if kind is slice:
        return (kind, _key(value.start), _key(value.stop), _key(value.step))
    if isinstance(value, (np.ndarray, np.generic)):
        short = value.size < 4096 and value.dtype.kind != "O"
        return (kind, value.shape, value.strides, value.dtype, value.tobytes() if short else id(value))
    if kind is Traced or kind is Draw:
        return id(value)
    try:
        hash(value)
    except TypeError:
        return id(value)
    return (kind, repr(value)) if kind is float else (kind, value)  # 0.0 and -0.0 differ


def without_dead(calls: list[Call], wanted: list[Traced]) -> list[Call]:
    """Drop calls whose results nobody reads; random numbers are drawn all the same, as without capture."""
    needed = set(wanted)
    kept = []
    for call in reversed(calls):
        if call.out in needed or not call.pure:
            needed.update(traced_in(call.args))
            needed.update(traced_in(call.kwargs))
            kept.append(call)
    return kept[::-1]


def reads(call: Call) -> list[Traced]:
    """List the values that a call reads, each once."""
    return list(dict.fromkeys(traced_in(call.args) + traced_in(call.kwargs)))


def is_elementwise(call: Call) -> bool:
    """Tell whether each element of the result depends on the matching elements of the arguments only."""
    return isinstance(call.fn, np.ufunc) and call.fn.signature is None and call.fn.nout == 1
