"""Facts: what capture has to know about NumPy's functions, as one sheet. Everything else asks `facts`.

A function that is not in the sheet is captured all the same, as a call that makes its own result. What NumPy
tells by itself (that a ufunc takes ``out=``, or works element by element) is not repeated here.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..rules.indexing import getitem, put, set_at
from ..rules.shapes import astype

Function = Callable[..., Any]


class Facts(NamedTuple):
    """What is known of a function; of one that is not in the sheet, nothing of this holds."""

    static: bool = False  # it reads only shape or type of its argument: its result is always the same
    shaped_by: str = ""  # the shape of its result depends on "values", or on the "arguments" after the first
    view: bool = False  # its result may lie in the memory of its argument
    out: bool = False  # it can write its result into a given array, although it is no ufunc
    inside: Function | None = None  # the faster function that it calls itself, where arguments are arrays
    keeps_one: bool = False  # as a reduction, it leaves a single element as it is
    loop: str = ""  # it is exact in a compiled loop, and written like this for one element
    symbol: str = ""  # its sign in Python, between numbers or before one
    one_type: bool = False  # its arguments are all of one type: a constant number may be an array of it
    result: str = ""  # what its result is called in a program, unless after the function itself
    method: bool = False  # it is a method of arrays, too


UNKNOWN = Facts()
SHEET: dict[Function, Facts] = {}


def facts(fn: Function) -> Facts:
    """Return what is known of a function."""
    return SHEET.get(fn, UNKNOWN)


def is_elementwise(fn: Function) -> bool:
    """Tell whether each element of a result depends on the matching elements of the arguments only."""
    return isinstance(fn, np.ufunc) and fn.signature is None and fn.nout == 1


def about(*fns: Function, **known: Any) -> None:
    """Write a line: what is known of some functions, besides what other lines say."""
    for fn in fns:
        SHEET[fn] = facts(fn)._replace(**known)


# The functions inside `put` and `set_at` that a trace writes down; it looks into those around them.
PUT: Any = put.__wrapped__.__wrapped__  # type: ignore[attr-defined]
SET_AT: Any = set_at.__wrapped__.__wrapped__  # type: ignore[attr-defined]

# Element by element. A sign stands at a ufunc only where it gives the same between NumPy's scalars.
about(np.add, operator.add, symbol="+", result="total")
about(np.add, loop="{0} + {1}", one_type=True, keeps_one=True)
about(np.subtract, symbol="-", loop="{0} - {1}", one_type=True, result="difference")
about(np.multiply, operator.mul, symbol="*", result="scaled")
about(np.multiply, loop="{0} * {1}", one_type=True, keeps_one=True)
about(np.divide, operator.truediv, symbol="/", result="ratio")
about(np.divide, loop="{0} / {1}", one_type=True)
about(np.negative, operator.neg, symbol="-")
about(np.negative, loop="-{0}")
about(np.power, one_type=True)
about(np.square, loop="{0} * {0}")
about(np.sqrt, loop="np.sqrt({0})")
about(np.absolute, loop="abs({0})")
about(np.sign, loop="np.sign({0}) if {0} else abs({0})")  # Numba's sign of -0 is -0
about(np.maximum, loop="larger({0}, {1})", one_type=True, keeps_one=True, result="largest")
about(np.minimum, loop="smaller({0}, {1})", one_type=True, keeps_one=True)
about(np.greater, loop="{0} > {1}", one_type=True, result="mask")
about(np.greater_equal, loop="{0} >= {1}", one_type=True)
about(np.less, loop="{0} < {1}", one_type=True)
about(np.less_equal, loop="{0} <= {1}", one_type=True)
about(np.equal, loop="{0} == {1}", one_type=True)
about(np.not_equal, loop="{0} != {1}", one_type=True)
about(np.logical_or, np.logical_and, keeps_one=True)
about(np.where, loop="{1} if {0} else {2}")
about(astype, loop="{0}", out=True, result="converted")
about(np.exp, result="powers")
about(np.log, result="logs")

# Python's operators, between its own numbers
_signs: dict[str, Function] = {
    **{"-": operator.sub, "**": operator.pow, "//": operator.floordiv, "%": operator.mod, "<": operator.lt},
    **{"<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne},
    **{"&": operator.and_, "|": operator.or_, "^": operator.xor, "<<": operator.lshift},
    **{">>": operator.rshift, "@": operator.matmul, "~": operator.invert, "+": operator.pos},
}
for _sign, _fn in _signs.items():
    about(_fn, symbol=_sign)
about(operator.sub, result="rest")
about(operator.pow, result="power")
about(operator.neg, result="negative")

# Products and reductions, and the ways to them that NumPy takes inside
about(np.matmul, inside=np.dot, result="product")
about(np.dot, out=True, result="product", method=True)
about(np.vdot, result="product")
about(np.sum, inside=np.add.reduce, result="total", method=True)
about(np.prod, inside=np.multiply.reduce, method=True)
about(np.max, np.amax, inside=np.maximum.reduce)
about(np.min, np.amin, inside=np.minimum.reduce)
about(np.any, inside=np.logical_or.reduce, method=True)
about(np.all, inside=np.logical_and.reduce, method=True)
about(np.max, np.min, np.mean, np.std, np.var, np.cumsum, np.cumprod, np.trace, method=True)

# Elements moved, or looked at in another way
about(np.copy, inside=np.positive)
about(np.concatenate, np.stack, PUT, SET_AT, out=True)
about(np.reshape, np.broadcast_to, view=True, shaped_by="arguments")
about(np.transpose, np.expand_dims, np.moveaxis, np.real, np.flip, np.flipud, np.fliplr, view=True)
about(np.rollaxis, np.atleast_1d, np.atleast_2d, np.atleast_3d, np.rot90, np.matrix_transpose, view=True)
about(np.split, np.array_split, np.unstack, np.broadcast_arrays, view=True)
about(np.lib.stride_tricks.sliding_window_view, view=True, shaped_by="arguments", result="windows")
about(np.swapaxes, np.squeeze, np.ravel, np.diagonal, view=True, method=True)
about(getitem, operator.getitem, view=True, result="part")
about(np.argmax, np.argmin, np.argsort, np.argpartition, np.searchsorted, np.take, np.choose, method=True)
about(np.clip, np.round, np.conj, method=True)

# What a program cannot do, or need not
about(np.repeat, shaped_by="arguments", method=True)
about(np.tile, np.resize, np.pad, np.delete, np.linspace, shaped_by="arguments")
about(np.nonzero, shaped_by="values", method=True)
about(np.flatnonzero, np.argwhere, np.extract, np.compress, np.trim_zeros, shaped_by="values")
about(np.unique, np.unique_values, np.unique_counts, np.unique_all, np.unique_inverse, shaped_by="values")
about(np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d, shaped_by="values")
about(np.bincount, np.histogram, np.roots, shaped_by="values")
about(np.shape, np.ndim, np.size, np.iscomplexobj, np.isrealobj, np.result_type, np.can_cast, static=True)
about(np.min_scalar_type, np.common_type, np.einsum_path, static=True)
about(np.zeros_like, np.ones_like, np.empty_like, np.full_like, static=True)
about(np.shares_memory, np.may_share_memory, static=True)

# Methods of arrays that traced arrays have, by name, and what to write instead of others
_named = {name: getattr(np, name, None) for name in dir(np.ndarray)}
METHODS = {name: fn for name, fn in _named.items() if fn is not None and facts(fn).method}
VALUES = {
    **dict.fromkeys(("item", "tolist", "tobytes", "dump", "dumps"), "return it, and read it outside"),
    **dict.fromkeys(("fill", "put", "sort", "partition", "resize", "byteswap"), "use what NumPy returns"),
}
