"""A rule with its numbers put in: ``W̄[3, 1] = 0.5·0.12 + 0.8·0.03 + … (32 terms) = 0.41``.

As for the formula, the rule itself is run, on arrays that remember which operation made them. Then one
element of the gradient is followed back, through sums and products, to the numbers it was computed from.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...containers import at
from ...recording import pick
from ..formula import argument_names, barred
from ..graph import Edge, Graph, GraphNode, with_arrays
from ..running import run_on_symbols
from ..symbols import COMPARISONS, Symbol, arrays_of
from ..values import readable
from ..words import number, visible

TERMS = 3  # of a long sum that are written out
TINY = 6  # numbers of an array that are written out whole
LONGEST = 200
UNKNOWN = "\0"
SUM, TIMES, ATOM = 1, 2, 3
Index = tuple[int, ...]
# how an operation on two numbers is written, and how strongly that holds together
PAIRS: dict[Any, tuple[str, int]] = {
    np.add: (" + ", SUM),
    np.subtract: (" − ", SUM),
    np.multiply: ("·", TIMES),
    np.divide: ("/", TIMES),
    np.power: ("^", ATOM),
}


class Made(Symbol):
    """A `Symbol` that also remembers the operation and the operands that it was made from."""

    def __init__(
        self, text: str, value: Any, level: int, operation: Any = None, operands: Sequence[Any] = ()
    ):
        super().__init__(text, value, level)
        self.operation, self.operands = operation, operands

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Symbol:
        plain = super().__array_ufunc__(ufunc, method, *inputs, **kwargs)
        operation = ufunc if method == "__call__" and not kwargs else None
        made = Made(plain.text, plain.value, plain.level, operation, inputs)
        made.times = plain.times
        return made

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        plain = super().__array_function__(func, types, args, kwargs)
        if func is not np.dot or kwargs or min(np.ndim(arrays_of(arg)) for arg in args) < 2:
            return plain
        return Made(plain.text, plain.value, plain.level, np.matmul, args)  # of two matrices the same


def rule_with_numbers(graph: Graph, node: GraphNode, edge: Edge) -> str:
    """Return what a call sends back along one edge, with numbers, for the element that gets most.

    Empty where the rule cannot be followed: then the page shows its formula alone.

    >>> import tinygrad_edu as tg
    >>> from tinygrad_edu.viz.graph import trace_graph
    >>> a = tg.Tensor(3.0, requires_grad=True, name="a")
    >>> b = tg.Tensor(5.0, requires_grad=True, name="b")
    >>> graph = trace_graph(a * b * 2.0, gradients=True)
    >>> rule_with_numbers(graph, graph.nodes[2], graph.edges[0])
    'ā = 2·5 = 10'
    """
    record = node.record
    if record is None or record.fn is pick or not readable(node.gradient) or node.gradient.size == 0:
        return ""
    names = argument_names(graph, node)
    try:
        with np.errstate(all="ignore"):
            part = _run(node, edge, names, _symbol)
            text = _followed(part, edge.shape, barred(names[edge.slot]))
            if UNKNOWN in text:  # nothing to follow: write what the rule says, small arguments in numbers
                told = _run(node, edge, names, _spelled)
                text = text.replace(UNKNOWN, told.text if isinstance(told, Symbol) else "")
    except Exception:  # whatever a rule does that symbols cannot do: the formula is shown without numbers
        return ""
    parts = text.split(" = ")
    return visible(
        " = ".join(
            part for part, before in zip(parts, ["", *parts], strict=False) if part and part != before
        ),
        LONGEST,
    )


def _run(node: GraphNode, edge: Edge, names: dict[str, str], symbol: Callable[[str, Any], Symbol]) -> Any:
    """Run the rule for one argument on symbols, and return what it gives for that argument."""
    record = node.record
    assert record is not None
    vjp = (record.rule.vjps_of(record.args))[edge.position]
    assert vjp is not None

    def named(slot: str, array: Any) -> Any:
        return symbol(names[slot], array) if slot in names else array

    arrays = [with_arrays(array, f"arg {i + 1}", named) for i, array in enumerate(record.arrays)]
    part = run_on_symbols(vjp, symbol("ḡ", node.gradient), symbol("y", node.value), *arrays, **record.kwargs)
    return at(part, edge.path)


def _symbol(name: str, value: Any) -> Symbol:
    return Made(name, value, 5)


def _spelled(name: str, value: Any) -> Symbol:
    """Make a symbol that is written as its numbers, where those are few."""
    array = np.asarray(value)
    if array.size > TINY:
        return Symbol(name, value)
    return Symbol(_number(value) if array.ndim == 0 else _listed(array), value)


def _listed(array: Any) -> str:
    return "[" + ", ".join(_listed(item) if np.ndim(item) else _number(item) for item in array) + "]"


def _followed(part: Any, shape: tuple[int, ...], left: str) -> str:
    """Write one element of a rule's result, summed over the axes that broadcasting had stretched."""
    value = np.asarray(arrays_of(part))
    added = value.ndim - len(shape)
    axes = (*range(added), *(added + i for i, n in enumerate(shape) if n == 1 != value.shape[added + i]))
    total = np.sum(value, axis=axes, keepdims=True) if axes else value
    magnitude = np.where(np.isfinite(total), np.abs(total), -1)
    index: Index = tuple(int(i) for i in np.unravel_index(int(np.argmax(magnitude)), total.shape))
    where = f"[{', '.join(map(str, index[added:]))}]" if shape else ""
    result = _number(total[index])
    if not axes:
        passed_on = isinstance(part, Made) and part.operation is None and shape
        text = part.text + where if passed_on else _element(part, index)[0]
        return (
            f"{left}{where} = {UNKNOWN} = {result}"
            if text == result
            else f"{left}{where} = {text} = {result}"
        )
    terms = []
    count = int(np.prod([value.shape[axis] for axis in axes]))
    for number_of_term in range(min(count, TERMS)):
        place = np.unravel_index(number_of_term, [value.shape[axis] for axis in axes])
        at = list(index)
        for axis, i in zip(axes, place, strict=True):
            at[axis] = int(i)
        terms.append(_element(part, tuple(at)))
    return f"{left}{where} = {_written_sum(terms, count)} = {result}"


def _element(part: Any, index: Index) -> tuple[str, int]:
    """Write one element of an array by the numbers it was computed from; and how strongly that binds."""
    value = arrays_of(part)
    if isinstance(part, Made) and part.operation is not None:
        operation, operands = part.operation, part.operands
        if operation is np.matmul and min(np.ndim(arrays_of(operand)) for operand in operands) > 1:
            return _product(operands[0], operands[1], index)
        if operation is not np.matmul:
            return _operation(operation, [_element(operand, index) for operand in operands])
    return _number(_at(value, index)), ATOM


def _at(value: Any, index: Index) -> Any:
    """Read the element that broadcasting puts at an index."""
    array = np.asarray(value)
    own = index[len(index) - array.ndim :] if array.ndim else ()
    return array[tuple(0 if n == 1 else i for i, n in zip(own, array.shape, strict=True))]


def _product(a: Any, b: Any, index: Index) -> tuple[str, int]:
    """Write an element of a matrix product: a row times a column."""
    *stack, row, column = index
    count = np.shape(arrays_of(a))[-1]
    terms = [
        _operation(np.multiply, [_element(a, (*stack, row, k)), _element(b, (*stack, k, column))])
        for k in range(min(count, TERMS))
    ]
    return _written_sum(terms, count), SUM if count > 1 else TIMES


def _written_sum(terms: Sequence[tuple[str, int]], count: int) -> str:
    text = " + ".join(
        f"({term})" if term.startswith("−") and i else term for i, (term, _) in enumerate(terms)
    )
    return text + (f" + … ({count:,} terms)" if count > len(terms) else "")


def _operation(operation: Any, operands: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """Write an operation on numbers that are already written."""
    texts = [text for text, _ in operands]
    if operation in COMPARISONS:
        return f"[{texts[0]} {COMPARISONS[operation]} {texts[1]}]", ATOM
    if operation in PAIRS:
        sign, level = PAIRS[operation]
        first = _within(operands[0], level)
        second = _within(operands[1], level + (operation in (np.subtract, np.divide)), follows=True)
        return f"{first}{sign}{second}", level
    if operation is np.square:
        return f"{_within(operands[0], ATOM, follows=True)}²", ATOM
    if operation is np.negative:
        return f"−{_within(operands[0], ATOM, follows=True)}", TIMES
    if operation is np.positive:
        return operands[0]
    if operation is np.absolute:
        return f"|{texts[0]}|", ATOM
    return f"{operation.__name__}({', '.join(texts)})", ATOM


def _within(operand: tuple[str, int], level: int, follows: bool = False) -> str:
    text, own = operand
    return f"({text})" if own < level or (follows and text.startswith("−")) else text


def _number(value: Any) -> str:
    item = value.item() if hasattr(value, "item") else value
    if isinstance(item, bool):
        return "1" if item else "0"
    return number(item).replace("-", "−", 1) if number(item).startswith("-") else number(item)
