"""Simplify: the same results from fewer and faster calls. Each pass is one small function.

`lowered` replaces calls by what NumPy's own functions do inside. `smaller` holds the algebra: only steps
that change no bit of the result. `without_repeats` finds calls made twice (the forward pass computes what a
gradient rule asks for again), `without_dead` drops what nobody reads. Constants never get here: what no
input went into was computed while tracing, and not written down.
"""

import contextlib
import functools
import inspect
from typing import Any

import numpy as np

from ..containers import leaves, structure, tree_map
from ..rules.shapes import astype
from .facts import SHEET, facts, is_elementwise
from .program import Program, example, kind, reads
from .trace import Call, Draw
from .traced import PLAIN, Traced, traced_in

NO_VALUE: Any = np._NoValue  # "not given", in NumPy's own defaults
signature = functools.cache(inspect.signature)


def with_algebra(program: Program) -> None:
    """Lower every call, and leave out those whose result equals another value."""
    kept: list[Call] = []
    for call in program.calls:
        _substitute(call, program)
        is_view = call.lender is not None
        lowered(call)
        replacement = smaller(call)
        # the result of a sum over one element, say, was an array of its own, and is now its argument's
        if not is_view and (replacement is not call.out or call.lender is not None):
            program.copies.add(call.out)
        if replacement is call.out:
            kept.append(call)
        else:
            program.now[call.out] = replacement
    program.calls = kept


def _substitute(call: Call, program: Program) -> None:
    """Let a call read what stands for its arguments now; what looks at a copy is as little its own."""
    several = isinstance(call.out.example, (list, tuple))
    if call.lender in program.copies or (several and not program.copies.isdisjoint(traced_in(call.args))):
        program.copies.add(call.out)
    now = program.now
    call.args, call.kwargs = substituted(call.args, now), substituted(call.kwargs, now)
    call.lender = substituted(call.lender, now)


def substituted(value: Any, now: dict[Traced, Any]) -> Any:
    """Return an argument with values replaced by what stands for them."""

    def follow(leaf: Any) -> Any:
        while type(leaf) is Traced and leaf in now:
            leaf = now[leaf]
        return leaf

    return tree_map(follow, value)


def by_place(call: Call) -> None:
    """Give arguments by place that were given by name, where the passes look for them by place."""
    fn = call.fn
    if fn in SHEET and call.kwargs and (not call.args or fn in (np.transpose, np.swapaxes)):
        with contextlib.suppress(ValueError):  # no signature: older versions of NumPy tell none of some
            bound = signature(fn).bind(*call.args, **call.kwargs)
            call.args, call.kwargs = bound.args, bound.kwargs


def lowered(call: Call) -> None:
    """Replace a function of NumPy's that is written in Python by the faster call that it makes inside."""
    fn, args, kwargs = call.fn, call.args, call.kwargs
    inside: Any = facts(fn).inside
    if fn is np.transpose and len(args) > 1 and args[1] is None:
        call.args = args[:1]
    elif fn is np.matmul and not kwargs and _are_matrices(*args):
        call.fn = inside  # the same product, by a shorter way to BLAS
    elif fn is np.copy and not kwargs and _keeps_order(*args):
        call.fn, call.args = inside, args[:1]
    elif isinstance(getattr(inside, "__self__", None), np.ufunc) and _is_array(args[0]):
        given = dict(signature(fn).bind(*args, **kwargs).arguments)
        array = given.pop("a")
        given = {key: value for key, value in given.items() if value is not NO_VALUE and value is not None}
        given.setdefault("axis", None)  # all axes, which is not what the ufunc does without
        if given.get("keepdims") is False:
            del given["keepdims"]
        if isinstance(given["axis"], tuple) and len(given["axis"]) == 1:
            (given["axis"],) = given["axis"]
        if fn not in (np.any, np.all) or array.dtype.kind == "b":  # else they convert to booleans on the way
            call.fn, call.args, call.kwargs = inside, (array,), given


def _is_array(arg: Any) -> bool:
    return isinstance(arg, Traced) and isinstance(arg.example, np.ndarray)


def _are_matrices(*args: Any) -> bool:
    """Tell whether factors are matrices of one type, in one block of memory, which BLAS takes as they are."""
    arrays = [example(arg) for arg in args]
    kinds = {getattr(array, "dtype", None) for array in arrays}
    return kinds in ({np.dtype(np.float32)}, {np.dtype(np.float64)}) and all(
        array.ndim == 2 and (array.flags.c_contiguous or array.flags.f_contiguous) for array in arrays
    )


def _keeps_order(array: Any, order: str = "K") -> bool:
    """Tell whether a copy lies in memory as the original does, and can be made by np.positive."""
    if not isinstance(example(array), np.ndarray):
        return False
    flags, kind = array.flags, array.dtype.kind
    return kind in "fiu" and bool(flags.c_contiguous or (order == "K" and flags.f_contiguous))


def smaller(call: Call) -> Any:
    """Return what a call's result equals, bit for bit, without the call; or its own result."""
    fn, args = call.fn, call.args
    out = call.out
    if fn is np.positive and not call.kwargs and _same_kind(args[0], out):
        return args[0]  # values do not change, so that a copy is as good as the original
    if fn is astype and isinstance(args[0], Traced) and args[0].dtype == args[1]:
        return args[0]
    below = None if call.lender is None or call.lender.call is None else call.lender.call.lender
    if below is not None and _same_view(below, out):  # as of axes that were moved, and moved back
        return below
    if is_elementwise(fn) and not call.kwargs:
        call.args = args = _unspread(call)
        # complex numbers are left alone: (inf + 0j) * 1 has a NaN in it
        if fn in (np.multiply, np.divide) and getattr(out, "dtype", np.dtype(float)).kind != "c":
            if _is_one(args[1]) and _same_kind(args[0], out):
                return args[0]
            if fn is np.multiply and _is_one(args[0]) and _same_kind(args[1], out):
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
    of = getattr(call.fn, "__self__", None)
    if not isinstance(of, np.ufunc) or call.fn.__name__ != "reduce" or not facts(of).keeps_one:
        return False
    array, out = call.args[0], call.out
    if not _is_array(array) or not set(call.kwargs) <= {"axis", "keepdims"}:
        return False
    return _is_array(out) and bool(array.size == out.size) and array.dtype == out.dtype


def _same_kind(value: Any, out: Traced) -> bool:
    """Tell whether a value may take the place of another: the same shape, dtype and memory layout.

    The layout counts, since sums go through an array as it lies in memory, and round accordingly.
    """
    if not isinstance(value, Traced) or type(value.example) is not type(out.example):
        return False
    if type(value.example) in PLAIN:
        return True
    return bool(kind(value) == kind(out))


def _is_one(value: Any) -> bool:
    return (type(value) in (int, float) and value == 1) or (isinstance(value, np.generic) and value == 1)


def _same_view(value: Traced, out: Traced) -> bool:
    """Tell whether a view looks at the same memory, in the same way, as an array that it is a view of."""
    a, b = value.example, out.example
    return _same_kind(value, out) and a.__array_interface__["data"] == b.__array_interface__["data"]


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
        if inner is not arg and isinstance(example(inner), (np.ndarray, np.generic)):
            others = found[:i] + found[i + 1 :]
            if np.broadcast_shapes(_shape(inner), *map(_shape, others)) == shape:
                found[i] = inner
    if all(new is old for new, old in zip(found, call.args, strict=True)):
        return call.args
    with np.errstate(all="ignore"):  # NumPy chooses the order, and only a call tells which
        again = call.fn(*map(example, found))
    same = getattr(again, "strides", ()) == getattr(call.out.example, "strides", ())
    return tuple(found) if same else call.args


def _is_uniform(array: Any) -> bool:
    """Tell whether all elements of a constant array are one number, also by the sign of zero."""
    if not isinstance(array, np.ndarray) or not array.ndim or not array.size:
        return False
    if array.dtype.kind not in "fiub":
        return False
    signs = array.dtype.kind != "f" or len(set(np.signbit(array).flat)) == 1
    return signs and bool((array == array.flat[0]).all())


def _shape(arg: Any) -> tuple[int, ...]:
    return np.shape(example(arg))


def without_repeats(program: Program) -> None:
    """Drop calls that were made before with the same arguments."""
    seen: dict[Any, Traced] = {}
    kept: list[Call] = []
    for call in program.calls:
        _substitute(call, program)
        key = call.pure and _key((call.fn, call.args, call.kwargs))
        if key and key in seen:
            program.now[call.out] = seen[key]
            if call.lender is None:  # two arrays of the caller's are one now
                program.copies.add(call.out)
            continue
        if key:
            seen[key] = call.out
        kept.append(call)
    program.calls = kept


def _key(tree: Any) -> Any:
    """Return something hashable that is equal for equal arguments of a call."""
    return (structure(tree), *map(_leaf_key, leaves(tree)))


def _leaf_key(value: Any) -> Any:
    kind = type(value)
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


def handed_out(program: Program) -> None:
    """Let results be what stands for them now, or a copy of it where the caller would have got one.

    He may write into one result without changing another, or an argument.
    """
    copies: dict[Traced, Any] = {}
    for value in dict.fromkeys(program.handed_out()):
        if value in program.copies and isinstance(value.example, np.ndarray):
            copy = Call(astype, (substituted(value, program.now), value.dtype), {}, None)
            copy.out = copies[value] = Traced(value.tracing, value.example, copy, value.name)
            program.calls.append(copy)
    # first the copies: what stands for another result may be one that needs a copy itself
    given = substituted((program.result, program.gradients), copies)
    program.result, program.gradients = substituted(given, program.now)
    program.updates, program.names = substituted((program.updates, program.names), program.now)


def without_dead(program: Program) -> None:
    """Drop calls whose results nobody reads; random numbers are drawn all the same, as without capture."""
    needed = set(program.wanted())
    kept = []
    for call in reversed(program.calls):
        if call.out in needed or not call.pure:
            needed.update(reads(call))
            kept.append(call)
    program.calls = kept[::-1]
