"""Flatten: leave out axes of length one, which cost NumPy more than the sum itself.

With a batch of one, ``np.add(z, b)`` of shapes (1, 10) and (10,) broadcasts, which takes three times as long
as the same sum of two arrays of shape (10,). The views that drop and restore axes are made once, with the
buffers.
"""

from typing import Any

import numpy as np

from .facts import is_elementwise
from .program import Program, example
from .trace import Call
from .traced import Traced


def flattened(program: Program) -> None:
    """Let calls that broadcast axes of length one, or reduce a single row, work on flat views instead."""
    views: dict[tuple[Traced, tuple[int, ...]], Traced] = {}
    done: list[Call] = []

    def view(value: Any, shape: tuple[int, ...]) -> Any:
        if type(value) is not Traced or not isinstance(value.example, np.ndarray) or value.shape == shape:
            return value
        if (value, shape) not in views:
            call = Call(np.reshape, (value, shape), {}, None)
            call.lender = value
            call.out = views[value, shape] = Traced(value.tracing, value.example.reshape(shape), call)
            done.append(call)
        return views[value, shape]

    for call in program.calls:
        out = call.out
        row = _is_row_reduction(call)
        if not row and not _broadcasts_units(call):
            done.append(call)
            continue
        length = () if row else (out.size,)
        size = call.args[0].size if row else out.size
        args = tuple(view(arg, (size,) if np.size(example(arg)) == size else ()) for arg in call.args)
        flat = Call(call.fn, args, {}, call.place, call.node)
        flat.out = Traced(out.tracing, out.example.reshape(length), flat, out.name)
        flat.errors = call.errors
        done.append(flat)
        call.lender = flat.out
        call.fn, call.args, call.kwargs = np.reshape, (flat.out, out.shape), {}
        done.append(call)
        views[out, length] = flat.out  # the next call may go on with this one, and what is in between is dead
    program.calls = done


def _contiguous(arg: Any) -> bool:
    array = example(arg)
    return not isinstance(array, np.ndarray) or bool(type(arg) is Traced and array.flags.c_contiguous)


def _broadcasts_units(call: Call) -> bool:
    """Tell whether an elementwise call's arguments differ in axes of length one, or are single elements."""
    out = call.out
    if not is_elementwise(call.fn) or call.kwargs or not isinstance(out.example, np.ndarray) or out.size < 2:
        return False
    shapes = [np.shape(arg.example) for arg in call.args if type(arg) is Traced]
    arrays = [shape for shape in shapes if shape != ()]
    fits = all(np.prod(shape, dtype=int) in (1, out.size) for shape in arrays)
    return fits and len({*arrays, out.shape}) > 1 and all(map(_contiguous, (*call.args, out)))


def _is_row_reduction(call: Call) -> bool:
    """Tell whether a reduction goes over all of a single row, whose axes of length one it keeps."""
    if getattr(call.fn, "__name__", "") != "reduce" or call.kwargs.get("axis") not in (-1, 1):
        return False
    (row,), out = call.args, call.out
    if set(call.kwargs) != {"axis", "keepdims"} or type(row) is not Traced or row.example.ndim != 2:
        return False
    single: bool = row.shape[0] == 1 and out.example.ndim == 2 and row.dtype == out.dtype and row.size > 1
    return single and _contiguous(row)
