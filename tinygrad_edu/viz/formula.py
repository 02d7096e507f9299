"""The gradient rule of a call, as a formula.

The formula is found by running the rule itself, on symbols. A `Symbol` is an array that also knows how it
would be written on paper: every operation on it is done on the array and on the writing. So the text cannot
disagree with the code, and a rule that looks at shapes takes the branch that it took on the real arrays.
Where a rule cannot run on symbols, its source is quoted.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..containers import at
from ..recording import pick
from ..rules.printed import source_of
from .graph import Edge, Graph, GraphNode, slot_names, with_arrays
from .running import run_on_symbols
from .symbols import DOT, SUBSCRIPTS, Symbol, as_symbol
from .words import short_name, spelled, visible

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
        if edge.path:
            plain = plain[0] + "".join(str(key + 1) if isinstance(key, int) else key for key in edge.path)
        if name is None or name == "g" or shared:
            letters = (plain, *"uvwpqrst", f"{plain}_")
            name = next(letter for letter in letters if shared or letter not in taken)
            taken.add(name)
        names[edge.slot] = name
    return names


def _equations(graph: Graph, node: GraphNode, edges: Sequence[Edge], names: dict[str, str]) -> dict[str, str]:
    """Run the rule for each argument: what the gradient of each is called, and its formula."""
    record = node.record
    assert record is not None

    def named(slot: str, array: Any) -> Any:
        return Symbol(names[slot], array) if slot in names else array

    arrays = [with_arrays(array, f"arg {i}", named) for i, array in enumerate(record.arrays, 1)]
    y = short_name(node.label) or "y"
    result = Symbol("out" if y in names.values() else y, node.value)
    gradient = Symbol("ḡ", _ones(node.value) if node.gradient is None else node.gradient)
    vjps = record.rule.vjps_of(record.args)
    equations: dict[str, str] = {}
    for edge in edges:
        vjp = vjps[edge.position]
        assert vjp is not None
        part = run_on_symbols(vjp, gradient, result, *arrays, **record.kwargs)
        part = at(part, edge.path)
        left = barred(names[edge.slot])
        text = _summed(part, edge.shape, record.rule.undo_broadcast)
        equations[left] = f"{equations[left]} + {text}" if left in equations else text
    return equations


def _ones(value: Any) -> Any:
    return tuple(np.ones_like(part) for part in value) if isinstance(value, tuple) else np.ones_like(value)


def _summed(part: Any, shape: tuple[int, ...], undo: bool) -> str:
    """Write a gradient, with the sum that undoes broadcasting."""
    symbol = as_symbol(part)
    have = np.shape(symbol.value)
    if not undo or have == shape or len(have) < len(shape):
        return symbol.text
    added = len(have) - len(shape)
    axes = [*range(added), *(added + i for i, n in enumerate(shape) if n == 1 != have[added + i])]
    return f"Σ{''.join(map(str, axes)).translate(SUBSCRIPTS)} {symbol.within(DOT)}"


def barred(name: str) -> str:
    """Write the symbol of a gradient: a bar over the first letter."""
    return unicodedata.normalize("NFC", name[0] + "\u0304" + name[1:])


def _from_source(node: GraphNode, edges: Sequence[Edge], names: dict[str, str]) -> dict[str, str]:
    """Fall back on the rule as it is written in the source, with the letters that it uses there."""
    assert node.record is not None
    rule = node.record.rule
    vjps = rule.vjps_of(node.record.args)
    texts = {barred(names[edge.slot]): source_of(vjps[edge.position]) for edge in edges}
    return {left: text for left, text in texts.items() if text}
