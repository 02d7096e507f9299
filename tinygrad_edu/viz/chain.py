"""The chain rule in words: along which paths a gradient gets from a loss to a parameter, factor by factor.

A path is a walk through the graph from the loss back to the parameter; its product of local derivatives is
one contribution to the gradient, and the gradient is their sum. Each factor is found twice by the call's own
rule: run on the arrays it gives the numbers, run on symbols it gives the formula.
"""

import copy
import heapq
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..backward import shares
from ..recording import LEAF, Recorded, make
from ..rules import unbroadcast
from .formula import SUBSCRIPTS, TIMES, Symbol, on_symbols, rule_text
from .graph import Edge, Graph, GraphNode, arguments, trace_graph
from .notation import Notation, arranged, tidy
from .values import floats, health, readable
from .words import number, shape_text, visible

PATHS = 16  # how many paths are walked one by one
STEPS = 50_000  # about how many calls are gone through for all of them
FIRST = 4  # numbers of an array that are shown
LONGEST = 140  # characters of a product that is written as one formula


class Step:
    """One call on a path, and the one argument through which the path goes on."""

    def __init__(self, graph: Graph, edge: Edge):
        self.graph = graph
        self.edge = edge
        self.node: GraphNode = graph.nodes[edge.target]
        self.source: GraphNode = graph.nodes[edge.source]
        self.places = [int(place) for place in re.findall(r"\[(\d+)\]", edge.slot)]

    @cached_property
    def alone(self) -> Any:
        """The recorded call as if this argument were its only Tensor."""
        record = copy.copy(self.node.record)
        assert record is not None
        args: list[Any] = [None] * len(record.args)
        args[self.edge.position] = _only(record.args[self.edge.position], self.places)
        record.args = tuple(args)
        return record

    def pull(self, gradient: Any) -> Any:
        """Run the call's own rule on a gradient that arrives at its result."""
        with np.errstate(all="ignore"):
            return shares(self.alone, make(self.node.value), gradient, False)[0][1]

    def write(self, gradient: Any, notation: Notation, sums: bool) -> Any:
        """Run the call's own rule on symbols. With `sums` the text shows the sums that undo broadcasting."""
        record = self.node.record
        assert record is not None
        names = {edge.slot: notation.symbol(edge.source) for edge in self.graph.into[self.node.index]}
        arrays = [
            arranged(arg, array, f"arg {i}", names)
            for i, (arg, array) in enumerate(zip(record.args, record.arrays, strict=True), 1)
        ]
        vjps = record.rule.vjps or record.rule.vjps_of(record.args)
        vjp = vjps[self.edge.position]
        assert vjp is not None
        if isinstance(gradient, tuple):  # of several results: those that the path does not use pass on 0
            zeros = (Symbol("0", np.zeros_like(result)) for result in self.node.value)
            gradient = tuple(zero if g is None else g for g, zero in zip(gradient, zeros, strict=True))
        with np.errstate(all="ignore"):
            part = on_symbols(vjp)(gradient, notation.symbol(self.node.index), *arrays, **record.kwargs)
        for place in self.places:
            part = part[place]
        return self._summed(part, sums) if record.rule.undo_broadcast else part

    def _summed(self, part: Any, sums: bool) -> Any:
        if not isinstance(part, Symbol):
            return part
        value = np.broadcast_to(part.value, self.node.shape) if self.diagonal else part.value
        if value.shape == self.edge.shape:
            return Symbol(part.text, value, part.level)
        value = unbroadcast(value, self.edge.shape)
        if not sums:
            return Symbol(part.text, value, part.level)
        axes = "".join(re.findall(r"\d", self.summed)).translate(SUBSCRIPTS)
        return Symbol(f"Σ{axes} {part.within(TIMES)}", value, TIMES)

    @property
    def summed(self) -> str:
        """How the gradient is summed to undo broadcasting, in words; empty if it is not."""
        return self.edge.unbroadcast.split(" → ")[1] if self.edge.unbroadcast else ""

    @property
    def diagonal(self) -> bool:
        """Whether the call works element by element, so that its derivative is a number for each element."""
        return self.node.record is not None and self.node.record.rule.elementwise


def _only(arg: Any, places: Sequence[int]) -> Any:
    """Keep the one Tensor at a place in a (nested) list argument."""
    if not places:
        return arg
    return [_only(item, places[1:]) if i == places[0] else None for i, item in enumerate(arg)]


@dataclass(eq=False)
class Factor:
    """One local derivative in a product: what it is, and what it did to the gradient on this path.

    `norm` is that of the gradient after this factor, `growth` its ratio to the norm before, `numbers` its
    first values. `also` is a formula that has the same values as the product up to here, found by comparing
    numbers, such as ``(Ŷ − Y)/N``, and `prediction` says what Ŷ is.
    """

    upper: str
    lower: str
    shape: tuple[int, ...]
    norm: float
    growth: float
    word: str
    numbers: str
    where: str
    layer: str
    also: str = ""
    prediction: str = ""
    first: bool = False
    steps: list[Step] = field(repr=False, default_factory=list)
    notation: Notation | None = field(repr=False, default=None)

    @property
    def name(self) -> str:
        """The derivative as it is written, such as ``∂h⁽¹⁾/∂z⁽¹⁾``."""
        return f"∂{self.upper}/∂{self.lower}"

    @cached_property
    def _local(self) -> tuple[str, Any]:
        """Write the local derivative; with it, where it has one for each element, its values."""
        target = self.steps[0].node
        scalar = target.shape == () and not isinstance(target.value, tuple)
        direct = scalar or all(step.diagonal for step in self.steps)
        assert self.notation is not None
        try:
            part: Any = Symbol("1" if direct else "ḡ", _ones(target.value))
            for step in self.steps:
                part = step.write(part, self.notation, False)
        except Exception:  # whatever a rule does that symbols cannot do: its source says the same
            step = self.steps[-1]
            return rule_text(step.graph, step.node) or "(its rule cannot be written as a formula)", None
        if not isinstance(part, Symbol):
            return number(part) if np.ndim(part) == 0 else "ḡ", None
        if scalar:
            return re.sub(r"^spread\(([^()]*)\)$", r"\1", tidy(part.text)), None
        if not direct:
            return tidy(_without_gradient(part)), None
        text = tidy(part.within(TIMES))
        return (text if _is_constant(text) else f"◦ {text}"), part.value

    @property
    def formula(self) -> str:
        """The local derivative, as the rule computes it: ``·Wᵀ`` multiplies what came before by Wᵀ."""
        return visible(self._local[0], LONGEST)

    @property
    def note(self) -> str:
        """What else there is to say, in words: a 0/1 mask, a sum that undoes broadcasting."""
        notes = []
        text, slopes = self._local
        if slopes is not None and not _is_constant(text) and readable(slopes) and slopes.size:
            if np.all((slopes == 0) | (slopes == 1)):
                notes.append(f"0/1: {int(slopes.sum()):,} of {slopes.size:,} are 1")
            elif np.ndim(slopes):
                notes.append(f"from {number(slopes.min())} to {number(slopes.max())}")
            else:
                notes.append(number(slopes))
        step = self.steps[-1]
        if _is_constant(text) and self.steps[0].node.shape == () and math.prod(self.shape) > 1:
            notes.append(f"the same for all {math.prod(self.shape):,} elements")
        notes += [step.summed] if step.summed else []
        if sum(edge.source == step.edge.source for edge in step.graph.into[step.node.index]) > 1:
            place = "".join(f", item {i + 1}" for i in step.places)
            notes.append(f"as argument {step.edge.position + 1}{place} of {visible(step.node.op)}")
        return "; ".join(notes)


def _ones(value: Any) -> Any:
    return tuple(np.ones_like(part) for part in value) if isinstance(value, tuple) else np.ones_like(value)


def _is_constant(text: str) -> bool:
    return re.fullmatch(r"−?[0-9][0-9./e+-]*", text) is not None


def _without_gradient(symbol: Symbol) -> str:
    """Write a product with the gradient left out of one end: ``ḡ·Wᵀ`` is the factor ``·Wᵀ``."""
    text = symbol.text
    if text == "ḡ":
        return "1"
    if text.count("ḡ") == 1 and symbol.level >= TIMES:
        if text.startswith(("ḡ·", "ḡ ◦ ")):
            return text[1:].strip()
        if text.endswith("·ḡ") and symbol.level != TIMES:
            return text[:-1]
    return text


@dataclass(eq=False)
class Use:
    """One place where the parameter is used, and how many paths go through it."""

    paths: int
    step: Step = field(repr=False)
    notation: Notation = field(repr=False)

    @cached_property
    def call(self) -> str:
        """The call that uses it, as a formula."""
        return visible(tidy(self.notation.computed(self.step.node).text), 60)

    @property
    def where(self) -> str:
        """The user's file and line."""
        return visible(self.step.node.where) if self.step.node.where else ""

    @cached_property
    def contribution(self) -> Any:
        """What all paths through this use contribute to the gradient together; None if there is no path."""
        gradient = self.step.node.gradient
        return self.step.pull(gradient) if self.paths and gradient is not None else None


@dataclass(eq=False)
class Explanation:
    """What `explain` found out; it prints as text, and notebooks show it as formulas.

    Attributes:
        loss, wrt: how the two are written.
        gradient: the gradient of the loss with respect to the parameter, as backward finds it; None if none
            reaches it.
        count: how many paths there are.
        paths: for each path that was walked, its factors from the loss to the parameter.
        contributions: for each of them, its share of the gradient. All shares add up to the gradient.
        products: for each of them, the whole product as one formula, where it is short enough to read.
        meeting: a result in which all paths meet again and the gradient is a known formula: its name, that
            formula, and what the Ŷ in it is. None if there is no such result.
        uses: the places where the parameter is used.
        shape: that of the parameter.
    """

    loss: str
    wrt: str
    gradient: Any
    count: int
    paths: list[list[Factor]]
    contributions: list[Any]
    products: list[str]
    meeting: tuple[str, str, str] | None
    uses: list[Use]
    shape: tuple[int, ...]
    computed: list[int] = field(repr=False)
    notation: Notation = field(repr=False)

    def equations(self, indices: Sequence[int] | None = None) -> list[tuple[str, str]]:
        """Pair the arrays on the paths with what they were computed as, such as ``("h", "relu(z)")``."""
        return self.notation.equations(self.computed if indices is None else indices)

    @property
    def legend(self) -> list[tuple[str, str]]:
        """The symbols that were made up, each with the name that it stands for."""
        names = self.notation.names
        return [(names[index], visible(label)) for index, label in self.notation.legend.items()]

    def text(self) -> str:
        """Return the explanation as text."""
        from .telling import text

        return text(self)

    def markdown(self) -> str:
        """Return the explanation as Markdown, with formulas between dollar signs."""
        from .telling import markdown

        return markdown(self)

    def latex(self) -> str:
        """Return the products and their factors as LaTeX, for use inside ``$$``."""
        from .telling import latex_page

        return latex_page(self)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()

    def _repr_latex_(self) -> str:
        return f"$${self.latex()}$$"

    def _repr_markdown_(self) -> str:
        return self.markdown()


def explain(loss: Any, wrt: Any) -> Explanation:
    """Explain the gradient of a loss with respect to one Tensor: the chain rule, factor by factor.

    Every path from the loss to the Tensor is a product of local derivatives, and the gradient is the sum of
    the products. Of each factor the explanation says its formula (from running the rule itself on symbols),
    the shape and norm of the gradient after it, how much the norm grew, and the line it comes from. At most
    16 paths are walked one by one, those with the fewest factors for each use of the Tensor; their exact
    number and the contribution of each use are given in any case.

    Args:
        loss: a scalar Tensor.
        wrt: the Tensor to differentiate by, a parameter or a result on the way.

    Returns:
        An `Explanation`: ``print`` it, let a notebook show it, or take ``text()``, ``markdown()`` or
        ``latex()``.

    Raises:
        TypeError: `loss` or `wrt` is not a Tensor.
        ValueError: `loss` is not a scalar, or was not computed from `wrt`.

    >>> import tinygrad_edu as tg
    >>> a = tg.Tensor(3.0, requires_grad=True, name="a")
    >>> b = tg.Tensor(2.0, requires_grad=True, name="b")
    >>> explanation = explain(a * a + a * b, wrt=a)
    >>> [[(factor.name, factor.formula) for factor in path] for path in explanation.paths]
    [[('∂J/∂a', 'a')], [('∂J/∂a', 'a')], [('∂J/∂a', 'b')]]
    >>> explanation.contributions, explanation.gradient
    ([np.float64(3.0), np.float64(3.0), np.float64(2.0)], np.float64(8.0))
    """
    _check(loss, wrt)
    graph = trace_graph(loss, gradients=True)
    index = _find(graph, loss, wrt)
    if not graph.computed:
        raise ValueError(f"explain() found no gradients to explain; {visible(graph.note, 300)}")
    counts = _count_paths(graph)
    below = _leading_to(graph, index)
    walks = [_walk(graph, path) for path in _shortest(graph, index, below)]
    notation = Notation(graph, {index, *(group[-1].edge.source for walk in walks for group, _, _ in walk)})
    paths = [_factors(graph, notation, walk) for walk in walks]
    on_the_way = {group[0].node.index for walk in walks for group, _, _ in walk}
    return Explanation(
        loss=notation.name(len(graph.nodes) - 1),
        wrt=notation.name(index),
        gradient=graph.nodes[index].gradient,
        count=counts[index],
        paths=paths,
        contributions=[walk[-1][1] if walk else graph.nodes[index].gradient for walk in walks],
        products=[_product(notation, walk) for walk in walks],
        meeting=_meeting(graph, notation, walks) if 1 < counts[index] == len(walks) else None,
        uses=[
            Use(counts[edge.target] if edge.order is not None else 0, Step(graph, edge), notation)
            for edge in graph.out_of[index]
        ],
        shape=graph.nodes[index].shape,
        computed=sorted(on_the_way, reverse=True),
        notation=notation,
    )


def _check(loss: Any, wrt: Any) -> None:
    for what, given in (("loss", loss), ("wrt", wrt)):
        if not isinstance(given, Recorded):
            raise TypeError(f"explain(loss, wrt=W) takes two Tensors, and {what} is a {type(given).__name__}")
    if np.shape(loss.data) != ():
        raise ValueError(
            f"explain() starts from a scalar loss, and this Tensor has shape {shape_text(loss.data.shape)}; "
            "sum or average it first"
        )
    if wrt.node is None:
        raise ValueError(
            f"no gradient flows to {_called(wrt)}: create it with requires_grad=True, "
            "and compute the loss again"
        )


def _called(tensor: Any) -> str:
    return "this Tensor" if tensor.name is None else visible(tensor.name)


def _find(graph: Graph, loss: Any, wrt: Any) -> int:
    """Return the index of the node that stands for a Tensor."""
    if wrt is loss:
        return len(graph.nodes) - 1
    for node in graph.nodes:
        if node.record is not None:
            if node.record is wrt.node and wrt.node is not LEAF:
                return node.index
            for (_, _, arg), edge in zip(arguments(node.record), graph.into[node.index], strict=True):
                if arg is wrt:
                    return edge.source
    known = [
        visible(node.label) for node in graph.nodes if node.role == "parameter" and node.label is not None
    ]
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    raise ValueError(
        f"the loss was not computed from {_called(wrt)}"
        + (f"; it was computed from {shown}" if known else "")
    )


def _live(edges: Sequence[Edge]) -> list[Edge]:
    return [edge for edge in edges if edge.order is not None]


def _count_paths(graph: Graph) -> list[int]:
    """Count, for each node, the paths on which a gradient reaches it from the loss."""
    counts = [0] * len(graph.nodes)
    counts[-1] = 1
    for node in reversed(graph.nodes):
        for edge in _live(graph.into[node.index]):
            counts[edge.source] += counts[node.index]
    return counts


def _leading_to(graph: Graph, index: int) -> set[int]:
    """Return the nodes from which a gradient flows to the one at `index`."""
    found = {index}
    for node in graph.nodes[index + 1 :]:
        if any(edge.source in found for edge in _live(graph.into[node.index])):
            found.add(node.index)
    return found


# a path so far: how many steps, the last of them, and the path before it
Trail = tuple[int, Edge | None, Any]


def _shortest(graph: Graph, index: int, below: set[int]) -> list[list[Edge]]:
    """Choose the paths to walk: all if they are few, else the shortest, with as many uses as possible."""
    trails: dict[int, list[Trail]] = {len(graph.nodes) - 1: [(0, None, None)]}
    by_use: list[list[Trail]] = []
    for node in reversed(graph.nodes):
        best = trails.pop(node.index, [])
        if node.index == index:
            by_use = by_use or [best]
            break
        kept = heapq.nsmallest(PATHS, best, key=lambda trail: trail[0])
        for edge in _live(graph.into[node.index]):
            if edge.source in below and kept:
                longer: list[Trail] = [(trail[0] + 1, edge, trail) for trail in kept]
                trails.setdefault(edge.source, []).extend(longer)
                if edge.source == index:
                    by_use.append(longer)
    return [_edges(trail) for trail in _chosen(by_use[::-1])]  # uses in the order of the program


def _chosen(by_use: list[list[Trail]]) -> list[Trail]:
    """Take the shortest path of each use first, of very many uses those at both ends."""
    trails = [
        (rank, trail[0], use, trail) for use, group in enumerate(by_use) for rank, trail in enumerate(group)
    ]
    longest = max((length for _, length, _, _ in trails), default=0)
    most = min(PATHS, max(1, STEPS // max(longest, 1)))
    if len(by_use) > most:
        half = max(most // 2, 1)
        by_use = by_use[:half] + (by_use[-half:] if most > 1 else [])
        return [group[0] for group in by_use]
    trails = sorted(trails, key=lambda item: item[:2])[:most]
    return [trail for _, _, _, trail in sorted(trails, key=lambda item: (item[2], item[0]))]


def _edges(trail: Trail) -> list[Edge]:
    edges = []
    while trail[1] is not None:
        edges.append(trail[1])
        trail = trail[2]
    return edges[::-1]


Walk = list[
    tuple[list[Step], Any, float]
]  # for each factor: its steps, the gradient after it, the norm before


def _walk(graph: Graph, path: Sequence[Edge]) -> Walk:
    """Send the gradient down one path. A step that hands it on as it is belongs to the factor after it."""
    gradient = np.ones_like(graph.nodes[-1].value)[()]
    walk: Walk = []
    group: list[Step] = []
    before = 1.0
    for edge in path:
        step = Step(graph, edge)
        arrived = step.pull(gradient)
        group.append(step)
        unnamed = step.source.role == "op" and step.source.label is None
        if isinstance(arrived, tuple) or (unnamed and arrived is gradient):
            gradient = arrived
            continue
        walk.append((group, arrived, before))
        group, gradient, before = [], arrived, health(arrived).norm
    return walk


def _factors(graph: Graph, notation: Notation, walk: Walk) -> list[Factor]:
    factors = []
    labels: list[GraphNode] = []
    for position, (group, gradient, before) in enumerate(walk):
        node, source = group[0].node, group[-1].source
        norm, word, _ = health(gradient)
        also, prediction = "", ""
        if position < 6:
            for step in group:
                labels += [graph.nodes[edge.source] for edge in graph.into[step.node.index]]
            also, prediction = _as_error(notation, gradient, source, labels)
        with np.errstate(all="ignore"):
            growth = float(np.float64(norm) / np.float64(before))
        factors.append(
            Factor(
                upper=notation.name(node.index),
                lower=notation.name(source.index),
                shape=tuple(np.shape(gradient)),
                norm=norm,
                growth=growth,
                word=word,
                numbers=_first_numbers(gradient),
                where=visible(group[-1].node.where),
                layer="/".join(visible(layer) for layer in group[-1].node.scope),
                also=also,
                prediction=prediction,
                first=position == 0,
                steps=group,
                notation=notation,
            )
        )
    return factors


def _first_numbers(gradient: Any) -> str:
    if not readable(gradient) or np.size(gradient) == 0:
        return "not read" if np.size(gradient) else "empty"
    shown = [f"{x + 0.0:.3g}" for x in np.ravel(gradient)[:FIRST].tolist()]
    return " ".join(shown) + (" …" if np.size(gradient) > FIRST else "")


def _as_error(
    notation: Notation, gradient: Any, source: GraphNode, labels: Sequence[GraphNode]
) -> tuple[str, str]:
    """Recognize the error of a prediction, (Ŷ − Y)/N, in a gradient by its numbers; say also what Ŷ is."""
    z = source.value
    if not readable(gradient) or not readable(z) or np.ndim(z) == 0 or np.size(z) == 0:
        return "", ""
    with np.errstate(all="ignore"):
        z = floats(z)
        powers = np.exp(z - z.max(-1, keepdims=True))
        guesses = {"softmax": powers / powers.sum(-1, keepdims=True), "sigmoid": 1 / (1 + np.exp(-z))}
        for node in {node.index: node for node in labels}.values():
            truth = _one_hot(node.value, z) if node.role == "input" and readable(node.value) else None
            for name, guess in guesses.items():
                for n in {z.shape[0] if z.ndim > 1 else 1, z.size // z.shape[-1], z.size, 1}:
                    if truth is not None and np.allclose(floats(gradient) * n, guess - truth, 1e-4, 1e-6):
                        error = f"Ŷ − {notation.name(node.index, 'Y')}"
                        error = f"({error})/{n}" if n > 1 else error
                        return error, f"{name}({notation.name(source.index)})"
    return "", ""


def _meeting(graph: Graph, notation: Notation, walks: Sequence[Walk]) -> tuple[str, str, str] | None:
    """Find a result that all paths go through, and where the gradient is the error of a prediction."""
    common = set.intersection(*({group[-1].source.index for group, _, _ in walk} for walk in walks))
    labels = [node for node in graph.nodes if node.role == "input"]
    for index in sorted(common, reverse=True)[:12]:
        also, prediction = _as_error(notation, graph.nodes[index].gradient, graph.nodes[index], labels[-6:])
        if also:
            return notation.name(index), also, prediction
    return None


def _one_hot(labels: Any, z: Any) -> Any:
    """Return labels in the shape of the logits; None if they are not labels for them."""
    if labels.shape == z.shape:
        return floats(labels)
    if labels.dtype.kind in "iu" and labels.shape == z.shape[:-1]:
        return floats(labels[..., None] == np.arange(z.shape[-1]))
    return None


def _product(notation: Notation, walk: Walk) -> str:
    """Write the whole product: every rule on the path run on what the one before it wrote."""
    steps = [step for group, _, _ in walk for step in group]
    if not 1 < len(steps) <= 16:
        return ""
    try:
        part: Any = Symbol("1", np.ones_like(steps[0].node.value)[()])
        for step in steps:
            part = step.write(part, notation, True)
    except Exception:  # a rule that symbols cannot run: the factors quote it
        return ""
    text = tidy(part.text) if isinstance(part, Symbol) else ""
    text = re.sub(r"spread\(spread\(([^()]*)\)\)", r"spread(\1)", text)
    if not any("where" in step.node.record.kwargs for step in steps if step.node.record is not None):
        text = text.replace("spread(1) ◦ ", "")
    return text if len(text) <= LONGEST else ""
