"""The gradient rule of a call, as a formula.

The formula is found by running the rule itself, on symbols. A `Symbol` is an array that also knows how it
would be written on paper: every operation on it is done on the array and on the writing. So the text cannot
disagree with the code, and a rule that looks at shapes takes the branch that it took on the real arrays.
"""

import functools
import re
import types
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..recording import pick
from ..rules.printed import source_of
from .graph import Edge, Graph, GraphNode, slot_names
from .words import number, short_name, spelled, visible

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
# functions of which a formula shows one argument only: they change how an array is laid out, not its numbers
UNSEEN = {"column": 0, "row": 0, "outer_axes": 0, "like": 1, "first": 0, "expand_dims": 0, "squeeze": 0}
UNSEEN |= {"broadcast_to": 0, "astype": 0, "copy": 0, "nonzero": 0, "bounded": 0}
# functions of which the first argument says enough
FIRST_ONLY = ("spread", "cut", "unpad", "reshape", "others", "unbroadcast")
TRANSPOSED = ("turned", "transpose", "swapaxes", "matrix_transpose", "T", "mT")
SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
LONGEST = 110
MOST = 6  # arguments of one call that get a formula


def rule_text(graph: Graph, node: GraphNode) -> str:
    """Return how a call passes its gradient ḡ on to its arguments, such as ``x̄ = ḡ·Wᵀ   W̄ = xᵀ·ḡ``.

    Where the rule cannot run on symbols the text is the rule's own source line; where there is none, empty.

    >>> import tinygrad_edu as tg
    >>> from tinygrad_edu.viz.graph import trace_graph
    >>> x = tg.Tensor([[1.0, 2.0]], name="x", requires_grad=True)
    >>> W = tg.Tensor([[3.0], [4.0]], name="W", requires_grad=True)
    >>> graph = trace_graph(x @ W)
    >>> rule_text(graph, graph.nodes[-1])
    'x̄ = ḡ·Wᵀ   W̄ = xᵀ·ḡ'
    """
    edges = [edge for edge in graph.into[node.index] if edge.order is not None]
    if node.record is None or not edges:
        return ""
    names = argument_names(graph, node)
    if node.record.fn is pick:
        return f"ḡ for result {spelled(node.record.args[1])}, 0 for the others"
    try:
        with np.errstate(all="ignore"):
            equations = _equations(graph, node, edges[:MOST], names)
    except Exception:  # whatever a rule does that symbols cannot do: its source says the same
        equations = _from_source(node, edges[:MOST], names)
    text = "   ".join(f"{left} = {right}" for left, right in equations.items())
    text += "   …" if len(edges) > MOST else ""
    return visible(text, LONGEST) if text else ""


def argument_names(graph: Graph, node: GraphNode) -> dict[str, str]:
    """Choose a symbol for every argument: its own name where that is short and nobody else's.

    The others get the letter of their place, or one that is still free.
    """
    assert node.record is not None
    slots = slot_names(node.record)
    names: dict[str, str] = {}
    own = [(edge, short_name(graph.nodes[edge.source].label)) for edge in graph.into[node.index]]
    taken = {name for _, name in own if name}
    for edge, name in own:
        shared = any(other == name and e.source != edge.source for e, other in own)
        plain = slots[edge.position] if edge.position < len(slots) else edge.slot
        if inside := _inside(edge):
            plain = plain[0] + "".join(str(int(place) + 1) for place in inside)
        if name is None or name == "g" or shared:
            letters = (plain, *"uvwpqrst", f"{plain}_")
            name = next(letter for letter in letters if shared or letter not in taken)
            taken.add(name)
        names[edge.slot] = name
    return names


def _inside(edge: Edge) -> list[str]:
    """Return the numbers that say where in a list argument an array is."""
    return re.findall(r"(?<=\[)\d+(?=\])", edge.slot)


def _equations(graph: Graph, node: GraphNode, edges: Sequence[Edge], names: dict[str, str]) -> dict[str, str]:
    """Run the rule for each argument: what the gradient of each is called, and its formula."""
    record = node.record
    assert record is not None
    arrays = [
        _symbols(arg, array, f"arg {position + 1}", names)
        for position, (arg, array) in enumerate(zip(record.args, record.arrays, strict=True))
    ]
    y = short_name(node.label) or "y"
    result = Symbol("out" if y in names.values() else y, node.value)
    gradient = Symbol("ḡ", _ones(node.value) if node.gradient is None else node.gradient)
    vjps = record.rule.vjps or record.rule.vjps_of(record.args)
    equations: dict[str, str] = {}
    for edge in edges:
        vjp = vjps[edge.position]
        assert vjp is not None
        part = on_symbols(vjp)(gradient, result, *arrays, **record.kwargs)
        for place in _inside(edge):
            part = part[int(place)]
        left = barred(names[edge.slot])
        text = _summed(part, edge.shape, record.rule.undo_broadcast)
        equations[left] = f"{equations[left]} + {text}" if left in equations else text
    return equations


def _ones(value: Any) -> Any:
    return tuple(np.ones_like(part) for part in value) if isinstance(value, tuple) else np.ones_like(value)


def _symbols(arg: Any, array: Any, slot: str, names: dict[str, str]) -> Any:
    """Make Symbols of the arrays in an argument, and leave numbers and options as they are."""
    if slot in names:
        return Symbol(names[slot], array)
    if isinstance(array, (list, tuple)) and any(name.startswith(slot + "[") for name in names):
        return [
            _symbols(a, b, f"{slot}[{i}]", names) for i, (a, b) in enumerate(zip(arg, array, strict=True))
        ]
    return array


def _summed(part: Any, shape: tuple[int, ...], undo: bool) -> str:
    """Write a gradient, with the sum that undoes broadcasting."""
    symbol = part if isinstance(part, Symbol) else Symbol(_text(part)[0], part, _text(part)[1])
    have = np.shape(symbol.value)
    if not undo or have == shape or len(have) < len(shape):
        return symbol.text
    added = len(have) - len(shape)
    axes = [*range(added), *(added + i for i, n in enumerate(shape) if n == 1 != have[added + i])]
    return f"Σ{''.join(map(str, axes)).translate(SUBSCRIPTS)} {symbol.within(DOT)}"


def barred(name: str) -> str:
    """Write the symbol of a gradient: a bar over the first letter."""
    return unicodedata.normalize("NFC", name[0] + "\u0304" + name[1:])


class Count(int):
    """A number of elements. As a factor it cancels: ``ḡ·10/320`` is written ``ḡ/32``."""


class Symbol:
    """An array together with how it is written. What NumPy does to it happens to both."""

    def __init__(self, text: str, value: Any, level: int = ATOM):
        self.text = text
        self.value = value
        self.level = level
        self.times: tuple[Symbol, float] = (self, 1.0)  # it is this Symbol times this number

    def within(self, level: int) -> str:
        """Return the text, in parentheses if it binds less than `level`."""
        return self.text if self.level >= level else f"({self.text})"

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> "Symbol":
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        value = function(*real(inputs), **real(kwargs))
        if method != "__call__":
            return Symbol(_call(f"{ufunc.__name__}.{method}", inputs, kwargs), value)
        return _written(ufunc, inputs, value)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _named(func.__name__, args, kwargs, func(*real(args), **real(kwargs)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "flags":  # a formula has no order in memory
            raise AttributeError(name)
        found = getattr(self.value, name)
        if name in ("shape", "size"):
            return tuple(map(Count, found)) if name == "shape" else Count(found)
        if callable(found):
            return lambda *args, **kwargs: _named(
                name, (self, *args), kwargs, found(*real(args), **real(kwargs))
            )
        return _named(name, (self,), {}, found) if name in TRANSPOSED else found

    def __getitem__(self, index: Any) -> "Symbol":
        value = self.value[real(index)]
        if np.size(value) == np.size(self.value) and not isinstance(value, tuple):
            return Symbol(self.text, value, self.level)  # only new axes: the same numbers
        inside = _text(index)[0]
        return Symbol(
            f"{self.within(ATOM)}[{inside.strip('()') if isinstance(index, tuple) else inside}]", value
        )

    def __iter__(self) -> "Iterator[Symbol]":
        return (Symbol(f"{self.within(ATOM)}[{i}]", part) for i, part in enumerate(self.value))

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __index__(self) -> int:
        return int(self.value.__index__())

    __hash__ = object.__hash__


def _operator(ufunc: np.ufunc, reflected: bool = False) -> Callable[..., Any]:
    if reflected:
        return lambda self, other: ufunc(other, self)
    return lambda self, *other: ufunc(self, *other)


for _name, _ufunc in {
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "matmul": np.matmul},
    **{"pow": np.power, "mod": np.remainder, "floordiv": np.floor_divide},
    **{"and": np.bitwise_and, "or": np.bitwise_or},
}.items():
    setattr(Symbol, f"__{_name}__", _operator(_ufunc))
    setattr(Symbol, f"__r{_name}__", _operator(_ufunc, reflected=True))
for _name, _ufunc in {
    **{"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert, "eq": np.equal},
    **{"ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal},
}.items():
    setattr(Symbol, f"__{_name}__", _operator(_ufunc))


def real(value: Any) -> Any:
    """Replace every Symbol in an argument by its array."""
    if isinstance(value, Symbol):
        return value.value
    if isinstance(value, (list, tuple)):
        return type(value)(real(item) for item in value)
    if isinstance(value, Count):
        return int(value)
    return {key: real(item) for key, item in value.items()} if isinstance(value, dict) else value


def _text(value: Any) -> tuple[str, int]:
    """Write an operand: its text, and how strongly that holds together."""
    if isinstance(value, Symbol):
        return value.text, value.level
    if isinstance(value, (list, tuple)) and any(isinstance(item, Symbol) for item in value):
        return "[" + ", ".join(_text(item)[0] for item in value) + "]", ATOM
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    text = number(value) if isinstance(value, (int, float, np.number)) else spelled(value)
    text = "0" if text == "-0" else text[:-2] if text.endswith(".0") else text
    return text.replace("-", "−", 1) if text.startswith("-") else text, SUM if text.startswith("-") else ATOM


def _symbol(value: Any) -> Symbol:
    return value if isinstance(value, Symbol) else Symbol(_text(value)[0], value, _text(value)[1])


def _written(ufunc: Any, inputs: Sequence[Any], value: Any) -> Symbol:
    """Write an elementwise operation or a product the way a textbook does."""
    operands = [_symbol(item) for item in inputs]
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
        return a if b.text == "1" else Symbol(f"{a.within(TIMES)}/{b.within(ATOM)}", value, TIMES)
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
    return Symbol(_call(ufunc.__name__, inputs, {}), value)


def _sum(minus: bool, a: Symbol, b: Symbol, value: Any) -> Symbol:
    if b.text == "0":
        return a
    if a.text == "0":
        return Symbol(f"−{b.within(DOT)}", value, TIMES) if minus else b
    right = b.within(TIMES)
    right = f"({right})" if right.startswith("−") else right
    return Symbol(f"{a.text} {'−' if minus else '+'} {right}", value, SUM)


def _product(a: Symbol, b: Symbol, value: Any) -> Symbol:
    """Write ``a·b`` with a number or scalar in front, and ``a ◦ b`` element by element."""
    if "0" in (a.text, b.text):
        return Symbol("0", value)
    if "1" in (a.text, b.text):
        return b if a.text == "1" else a
    if a.text == b.text and a.level == ATOM:
        return _power(a, Symbol("2", 2), value)
    if _is_number(b) and not _is_number(a):
        a, b = b, a
    scalar = np.ndim(a.value) == 0 or np.ndim(b.value) == 0
    left, right = (s.within(TIMES) if scalar or s.level != DOT else f"({s.text})" for s in (a, b))
    right = f"({right})" if right.startswith("−") else right
    return Symbol(f"{left}·{right}" if scalar else f"{left} ◦ {right}", value, TIMES)


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
        return Symbol("1", value) if b.text == "0" else a
    plain = b.text.replace("−", "-")
    if plain.lstrip("-").isdigit():
        return Symbol(a.within(ATOM) + plain.translate(SUPERSCRIPTS), value, POWER)
    return Symbol(f"{a.within(ATOM)}^{b.within(ATOM)}", value, POWER)


def _named(name: str, args: Sequence[Any], kwargs: dict[str, Any], value: Any) -> Any:
    """Write a call of a function with a name."""
    if not _holds_arrays(value) or not _symbols_in([*args, *kwargs.values()]):
        return value  # a shape, a count, a text, ...
    for arg in args:
        if isinstance(arg, Symbol) and arg.value is value:
            return arg  # handed back as it was
    if name in ("zeros_like", "ones_like"):
        return Symbol("0" if name == "zeros_like" else "1", value)
    if name in UNSEEN and isinstance(args[UNSEEN[name]], Symbol):
        shown = args[UNSEEN[name]]
        return Symbol(shown.text, value, shown.level)
    if name in TRANSPOSED and (order := _axes_order(name, args)) != "other":
        return args[0] if order == "same" else Symbol(f"{_symbol(args[0]).within(ATOM)}ᵀ", value)
    if name in ("reshape", "unbroadcast") and np.shape(value) == np.shape(real(args[0])):
        return args[0]
    if name == "dot" and np.ndim(real(args[0])) == np.ndim(real(args[1])) == 2:
        return _written(np.matmul, args, value)
    if name == "power_slope":
        return _power(_symbol(args[0]), _symbol(args[1] - 1), value)
    if name == "put":
        return Symbol(f"put({_text(args[0])[0]} at [{_text(args[1])[0].strip('()')}])", value)
    while len(args) > 1 and (args[-1] is None or args[-1] is True):
        args = args[:-1]
    if name in FIRST_ONLY:
        return Symbol(f"{name}({_text(args[0])[0]})", value)
    return Symbol(_call(name, args, kwargs), value)


def _axes_order(name: str, args: Sequence[Any]) -> str:
    """Tell whether a permutation of axes changes nothing, turns matrices around, or does something else."""
    ndim = np.ndim(real(args[0]))
    if name == "transpose" and len(args) > 1 and args[1] is not None:
        axes = [int(axis) % ndim for axis in np.ravel(real(args[1]))]
        return "same" if axes == [*range(ndim)] else "turned" if axes == [*range(ndim)][::-1] else "other"
    if name == "swapaxes":
        pair = sorted(int(axis) % ndim for axis in args[1:3])
        return "same" if pair[0] == pair[1] else "turned" if pair == [ndim - 2, ndim - 1] else "other"
    return "turned"


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_arrays(item) for item in value)
    return hasattr(value, "dtype")


def _symbols_in(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_symbols_in(item) for item in value)
    return isinstance(value, Symbol)


def _call(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    parts = [_text(arg)[0] for arg in args]
    silent = (None, True, False)  # options of layout, such as keepdims=True
    parts += [f"{key}={_text(arg)[0]}" for key, arg in kwargs.items() if not any(arg is x for x in silent)]
    return f"{name}({', '.join(parts)})"


# Helper functions that a formula shows what is inside of; all others it shows by name.
OPEN = ("einsum_factor", "left_factor", "right_factor", "deviation", "dot_like")


def on_symbols(fn: Any) -> Any:
    """Return a copy of a rule in which the helpers that it calls are written by name, as ``softmax(z)``."""
    if isinstance(fn, functools.partial):
        return functools.partial(on_symbols(fn.func), *fn.args, **fn.keywords)
    world = {name: _by_name(value) for name, value in fn.__globals__.items()}
    cells = tuple(types.CellType(_by_name(cell.cell_contents)) for cell in fn.__closure__ or ())
    copy = types.FunctionType(fn.__code__, world, fn.__name__, fn.__defaults__, cells)
    copy.__kwdefaults__ = fn.__kwdefaults__
    return copy


def _by_name(value: Any) -> Any:
    """Wrap a helper function so that on Symbols it gives its name and its result."""
    if not isinstance(value, types.FunctionType) or hasattr(value, "__array_function__"):
        return value
    fn = value
    if (fn.__module__ or "").split(".")[0] in ("numpy", "math", "itertools"):
        return fn

    def helper(*args: Any, **kwargs: Any) -> Any:
        if fn.__name__ in OPEN:
            return on_symbols(fn)(*args, **kwargs)
        if fn.__name__.startswith("_"):
            raise TypeError(f"{fn.__name__} has no name that a reader knows")
        return _named(fn.__name__, args, kwargs, fn(*real(args), **real(kwargs)))

    return helper


def _from_source(node: GraphNode, edges: Sequence[Edge], names: dict[str, str]) -> dict[str, str]:
    """Fall back on the rule as it is written in the source, with the letters that it uses there."""
    assert node.record is not None
    rule = node.record.rule
    vjps = rule.vjps or rule.vjps_of(node.record.args)
    texts = {barred(names[edge.slot]): source_of(vjps[edge.position]) for edge in edges}
    return {left: text for left, text in texts.items() if text}
