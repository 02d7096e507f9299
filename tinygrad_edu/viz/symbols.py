"""An array that also knows how it would be written on paper.

Every operation on a `Symbol` is done on its array and on its text. NumPy's functions are written the way a
textbook does, and are told by what they are, never by what they are called; any other call is written as it
stands. What a text could not follow, such as a write into an array, is refused.
"""

import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..containers import leaves, tree_map
from ..rules.indexing import is_basic
from .words import number, spelled

# how strongly a piece of text holds together: what binds less than its surroundings is put in parentheses
SUM, TIMES, DOT, POWER, ATOM = 1, 2, 3, 4, 5

COMPARISONS = {
    np.equal: "=",
    np.not_equal: "≠",
    np.less: "<",
    np.less_equal: "≤",
    np.greater: ">",
    np.greater_equal: "≥",
}


def _of_arrays(*names: str) -> set[Any]:
    """Return what NumPy's arrays and numbers have under these names."""
    kinds = (np.ndarray, np.generic)
    return {getattr(kind, name) for kind in kinds for name in names if hasattr(kind, name)}


# what changes how an array is laid out, not its numbers
UNSEEN = {np.expand_dims, np.squeeze, np.broadcast_to, np.astype, np.copy}
UNSEEN |= _of_arrays("squeeze", "astype", "copy")
RESHAPED = {np.reshape, *_of_arrays("reshape")}
PERMUTED = {np.transpose, *_of_arrays("transpose", "T")}
SWAPPED = {np.swapaxes, *_of_arrays("swapaxes")}
TURNED = {np.matrix_transpose, np.linalg.matrix_transpose, *_of_arrays("mT")}
SILENT = ("keepdims", "optimize")  # options that change no number
SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Count(int):
    """A number of elements. As a factor it cancels: ``ḡ·10/320`` is written ``ḡ/32``."""


class Symbol:
    """An array together with how it is written. What NumPy does to it happens to both."""

    def __init__(self, text: str, value: Any, level: int = ATOM):
        if isinstance(value, np.ndarray) and value.flags.writeable:
            value = value.view()
            value.flags.writeable = False  # a formula cannot tell that an array was changed in place
        self.text = text
        self.value = value
        self.level = level
        self.times: tuple[Symbol, float] = (self, 1.0)  # it is this Symbol times this number

    def within(self, level: int) -> str:
        """Return the text, in parentheses if it binds less than `level`."""
        return self.text if self.level >= level else f"({self.text})"

    def __str__(self) -> str:
        return self.text

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> "Symbol":
        if method == "at" or "out" in kwargs:
            raise TypeError("a symbol stays what it is, and nothing is written into it")
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        value = function(*arrays_of(inputs), **arrays_of(kwargs))
        if method == "__call__" and not kwargs:
            return _arithmetic(ufunc, inputs, value)
        name = _own_name(ufunc) + ("" if method == "__call__" else f".{method}")
        return Symbol(_call(name, inputs, kwargs), value)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return named(func, func.__name__, args, kwargs, func(*arrays_of(args), **arrays_of(kwargs)))

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a symbol is no plain array")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "flags":  # a formula has no order in memory
            raise AttributeError(name)
        found = getattr(self.value, name)
        if name in ("shape", "size"):
            return tuple(map(Count, found)) if name == "shape" else Count(found)
        # arrays of other libraries speak NumPy's language: their .T is a transpose
        kind = type(self.value) if isinstance(self.value, (np.ndarray, np.generic)) else np.ndarray
        own = getattr(kind, name, None)
        if not callable(found):
            return named(own, name, (self,), {}, found)

        def method(*args: Any, **kwargs: Any) -> Any:
            value = found(*arrays_of(args), **arrays_of(kwargs))
            if not _holds_arrays(value):
                raise TypeError(f"{name} makes of a symbol something that is none")
            return named(own, name, (self, *args), kwargs, value)

        return method

    def __getitem__(self, index: Any) -> "Symbol":
        value = self.value[arrays_of(index)]
        several = isinstance(self.value, (list, tuple))
        if not several and np.size(value) == np.size(self.value) and _in_order(index):
            return Symbol(self.text, value, self.level)  # axes come or go: the same numbers
        return Symbol(f"{self.within(ATOM)}[{inside_brackets(index)}]", value)

    def __iter__(self) -> "Iterator[Symbol]":
        return (Symbol(f"{self.within(ATOM)}[{i}]", part) for i, part in enumerate(self.value))

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __index__(self) -> int:
        return int(self.value.__index__())

    __hash__ = object.__hash__


def _operator(ufunc: np.ufunc, reflected: bool = False) -> Callable[..., Any]:
    if reflected:
        return lambda self, other: ufunc(other, self)
    return lambda self, *other: ufunc(self, *other)


def _in_place(self: Symbol, other: Any) -> Any:
    raise TypeError("a symbol stays what it is: other names may stand for it too")


for _name, _ufunc in {
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "matmul": np.matmul},
    **{"pow": np.power, "mod": np.remainder, "floordiv": np.floor_divide},
    **{"and": np.bitwise_and, "or": np.bitwise_or},
}.items():
    setattr(Symbol, f"__{_name}__", _operator(_ufunc))
    setattr(Symbol, f"__r{_name}__", _operator(_ufunc, reflected=True))
    setattr(Symbol, f"__i{_name}__", _in_place)
for _name, _ufunc in {
    **{"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert, "eq": np.equal},
    **{"ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal},
}.items():
    setattr(Symbol, f"__{_name}__", _operator(_ufunc))


def arrays_of(value: Any) -> Any:
    """Replace every Symbol in an argument by its array."""
    return tree_map(_array_of, value)


def _array_of(leaf: Any) -> Any:
    return leaf.value if isinstance(leaf, Symbol) else int(leaf) if isinstance(leaf, Count) else leaf


def text_of(value: Any) -> tuple[str, int]:
    """Write an operand: its text, and how strongly that holds together."""
    if isinstance(value, Symbol):
        return value.text, value.level
    if isinstance(value, (list, tuple)) and any(isinstance(item, Symbol) for item in value):
        inside = ", ".join(text_of(item)[0] for item in value)
        comma = "," if len(value) == 1 else ""
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{comma})", ATOM
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    text = number(value) if isinstance(value, (int, float, np.number)) else spelled(value)
    if text.lstrip("-").isdigit() and float(text) != value:  # 0.99999 is not to be written 1
        text = repr(float(value))
    text = "0" if text == "-0" else text[:-2] if text.endswith(".0") else text
    return text.replace("-", "−", 1) if text.startswith("-") else text, SUM if text.startswith("-") else ATOM


def inside_brackets(index: Any) -> str:
    """Write an operand where brackets stand around it already."""
    return text_of(index)[0][1:-1] if isinstance(index, tuple) else text_of(index)[0]


def _in_order(index: Any) -> bool:
    """Tell whether an index can take all elements only in the order they are in."""
    parts = index if isinstance(index, tuple) else (index,)
    return is_basic(index) and all(type(part) is not slice or (part.step or 1) > 0 for part in parts)


def as_symbol(value: Any) -> Symbol:
    """Make a Symbol of a number or anything else that is none yet."""
    return value if isinstance(value, Symbol) else Symbol(text_of(value)[0], value, text_of(value)[1])


def _arithmetic(ufunc: Any, inputs: Sequence[Any], value: Any) -> Symbol:
    """Write an elementwise operation or a product the way a textbook does."""
    operands = [as_symbol(item) for item in inputs]
    a, b = operands[0], operands[-1]
    if ufunc in COMPARISONS:
        return Symbol(f"[{a.text} {COMPARISONS[ufunc]} {b.text}]", value)
    if ufunc in (np.add, np.subtract):
        return _sum(ufunc is np.subtract, a, b, value)
    if ufunc in (np.multiply, np.divide) and type(b.value) is Count:
        return _scaled(a, 1 / b.value if ufunc is np.divide else float(b.value), value)
    if ufunc is np.multiply:
        return _product(a, b, value)
    if ufunc is np.divide:
        return (
            _alike(a, value) if b.text == "1" else Symbol(f"{a.within(TIMES)}/{b.within(ATOM)}", value, TIMES)
        )
    if ufunc is np.matmul:
        return Symbol(f"{a.within(DOT)}·{b.within(DOT)}", value, DOT)
    if ufunc is np.negative:
        return Symbol("0", value) if a.text == "0" else Symbol(f"−{a.within(DOT)}", value, TIMES)
    if ufunc is np.positive:
        return a
    if ufunc is np.square:
        return _power(a, Symbol("2", 2), value)
    if ufunc in (np.power, np.float_power):
        return _power(a, b, value)
    if ufunc is np.sqrt:
        return Symbol(f"√{a.within(ATOM)}", value)
    if ufunc is np.absolute:
        return Symbol(f"|{a.text}|", value)
    return Symbol(_call(_own_name(ufunc), inputs, {}), value)


def _own_name(ufunc: Any) -> str:
    """Return a ufunc's name, unless that is NumPy's for another."""
    name: str = ufunc.__name__
    if vars(np).get(name, ufunc) is not ufunc:
        raise TypeError(f"a {name} that is not NumPy's cannot be told from it in a formula")
    return name


def _sum(minus: bool, a: Symbol, b: Symbol, value: Any) -> Symbol:
    if b.text == "0":
        return _alike(a, value)
    if a.text == "0":
        return Symbol(f"−{b.within(DOT)}", value, TIMES) if minus else _alike(b, value)
    right = b.within(TIMES)
    right = f"({right})" if right.startswith("−") else right
    return Symbol(f"{a.text} {'−' if minus else '+'} {right}", value, SUM)


def _product(a: Symbol, b: Symbol, value: Any) -> Symbol:
    """Write ``a·b`` with a number or scalar in front, and ``a ◦ b`` element by element."""
    if "0" in (a.text, b.text):
        return Symbol("0", value)
    if "1" in (a.text, b.text):
        return _alike(b if a.text == "1" else a, value)
    if a.text == b.text and a.level == ATOM:
        return _power(a, Symbol("2", 2), value)
    if _is_number(b) and not _is_number(a):
        a, b = b, a
    scalar = np.ndim(a.value) == 0 or np.ndim(b.value) == 0
    left, right = (s.within(TIMES) if scalar or s.level != DOT else f"({s.text})" for s in (a, b))
    right = f"({right})" if right.startswith("−") else right
    return Symbol(f"{left}·{right}" if scalar else f"{left} ◦ {right}", value, TIMES)


def _alike(a: Symbol, value: Any) -> Symbol:
    """Return the same text for an array with the same numbers, repeated perhaps by broadcasting."""
    return a if np.shape(a.value) == np.shape(value) else Symbol(a.text, value, a.level)


def _scaled(a: Symbol, factor: float, value: Any) -> Symbol:
    """Write a multiple of a Symbol, its numbers of elements cancelled against each other."""
    whole, before = a.times
    factor *= before
    parts = round(1 / factor) if factor else 0
    if abs(factor - 1) < 1e-9:
        scaled = Symbol(whole.text, value, whole.level)
    elif parts > 1 and abs(factor * parts - 1) < 1e-9:
        scaled = Symbol(f"{whole.within(TIMES)}/{parts}", value, TIMES)
    else:
        scaled = Symbol(f"{number(factor)}·{whole.within(TIMES)}", value, TIMES)
    scaled.times = whole, factor
    return scaled


def _is_number(symbol: Symbol) -> bool:
    return symbol.level == ATOM and symbol.text.replace(".", "").isdigit()


def _power(a: Symbol, b: Symbol, value: Any) -> Symbol:
    if b.text in ("0", "1"):
        return Symbol("1", value) if b.text == "0" else _alike(a, value)
    plain = b.text.replace("−", "-")
    base = f"({a.text})" if a.text.startswith("√") else a.within(ATOM)
    if plain.lstrip("-").isdigit():
        return Symbol(base + plain.translate(SUPERSCRIPTS), value, POWER)
    return Symbol(f"{base}^{b.within(ATOM)}", value, POWER)


def named(fn: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any], value: Any) -> Any:
    """Write a call of a function by its name, or as is usual for what the function does."""
    if not _holds_arrays(value) or not _symbols_in([*args, *kwargs.values()]):
        return value  # a shape, a count, a text, ...
    for arg in args:
        if isinstance(arg, Symbol) and arg.value is value:
            return arg  # handed back as it was
    if fn in (np.zeros_like, np.ones_like):
        return Symbol("0" if fn is np.zeros_like else "1", value)
    if fn in UNSEEN and np.can_cast(args[0].value.dtype, value.dtype, "same_kind"):
        return Symbol(args[0].text, value, args[0].level)
    if (order := _axes_order(fn, args, kwargs)) != "other":
        return args[0] if order == "same" else Symbol(f"{as_symbol(args[0]).within(ATOM)}ᵀ", value)
    if fn in RESHAPED and all(type(arg) is not str or arg == "C" for arg in (*args, *kwargs.values())):
        same = np.shape(value) == np.shape(arrays_of(args[0]))
        return args[0] if same else Symbol(f"reshape({text_of(args[0])[0]})", value)
    if fn is np.dot and not kwargs and np.ndim(arrays_of(args[0])) == np.ndim(arrays_of(args[1])) == 2:
        return _arithmetic(np.matmul, args, value)
    return Symbol(_call(name, *_given(fn, args, kwargs)), value)


def _axes_order(fn: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    """Tell whether a permutation of axes changes nothing, turns matrices around, or does something else."""
    if fn not in TURNED | PERMUTED | SWAPPED or kwargs:
        return "other"
    ndim = np.ndim(arrays_of(args[0]))
    if fn in TURNED or ((len(args) == 1 or args[1] is None) and ndim <= 2):
        return "turned"
    if len(args) == 1 or args[1] is None:
        return "other"
    axes = [int(axis) % ndim for axis in np.ravel(arrays_of(args[1:]))]
    if fn in PERMUTED:
        return "same" if axes == [*range(ndim)] else "turned" if axes == [1, 0] else "other"
    return "same" if axes[0] == axes[1] else "turned" if sorted(axes) == [ndim - 2, ndim - 1] else "other"


def _given(fn: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """Leave out what a function takes where nothing is given, and NumPy's options that change no number."""
    if not isinstance(fn, types.FunctionType):
        while len(args) > 1 and args[-1] is None:
            args = args[:-1]
        return args, {key: arg for key, arg in kwargs.items() if arg is not None and key not in SILENT}
    places = fn.__code__.co_varnames[: fn.__code__.co_argcount]
    usual = dict(zip(places[::-1], (fn.__defaults__ or ())[::-1], strict=False)) | (fn.__kwdefaults__ or {})
    while 1 < len(args) <= len(places) and args[-1] is usual.get(places[len(args) - 1], ...):
        args = args[:-1]
    return args, {key: arg for key, arg in kwargs.items() if arg is not usual.get(key, ...)}


def _holds_arrays(value: Any) -> bool:
    return any(hasattr(leaf, "dtype") for leaf in leaves(value))


def _symbols_in(value: Any) -> bool:
    return any(isinstance(leaf, Symbol) for leaf in leaves(value))


def _call(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    parts = [text_of(arg)[0] for arg in args] + [f"{key}={text_of(arg)[0]}" for key, arg in kwargs.items()]
    return f"{name}({', '.join(parts)})"
