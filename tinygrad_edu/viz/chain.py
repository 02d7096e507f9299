"""The chain rule in words: along which paths a gradient gets from a loss to a parameter, factor by factor.

A path is a walk through the graph from the loss back to the parameter; its product of local derivatives is
one contribution to the gradient, and the gradient is their sum. Each factor is found twice by the call's own
rule: run on the arrays it gives the numbers, run on symbols it gives the formula.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..recording import LEAF, Recorded
from .factors import Factor, Walk, error_of_prediction, factors_of, product_of, walk_along
from .graph import Graph, arguments, trace_graph
from .notation import Notation, tidy
from .paths import Step, count_paths, leading_to, paths_to_walk
from .words import shape_text, visible


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
    number and the contribution of each use are given in any case. No ``.grad`` is written and no hook called.

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
    counts = count_paths(graph)
    below = leading_to(graph, index)
    walks = [walk_along(graph, path) for path in paths_to_walk(graph, index, below)]
    notation = Notation(graph, {index, *(group[-1].edge.source for walk in walks for group, _, _ in walk)})
    paths = [factors_of(graph, notation, walk) for walk in walks]
    on_the_way = {group[0].node.index for walk in walks for group, _, _ in walk}
    return Explanation(
        loss=notation.name(len(graph.nodes) - 1),
        wrt=notation.name(index),
        gradient=graph.nodes[index].gradient,
        count=counts[index],
        paths=paths,
        contributions=[walk[-1][1] if walk else graph.nodes[index].gradient for walk in walks],
        products=[product_of(notation, walk) for walk in walks],
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
            for (*_, arg), edge in zip(arguments(node.record), graph.into[node.index], strict=True):
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


def _meeting(graph: Graph, notation: Notation, walks: Sequence[Walk]) -> tuple[str, str, str] | None:
    """Find a result that all paths go through, and where the gradient is the error of a prediction."""
    common = set.intersection(*({group[-1].source.index for group, _, _ in walk} for walk in walks))
    labels = [node for node in graph.nodes if node.role == "input"]
    for index in sorted(common, reverse=True)[:12]:
        also, prediction = error_of_prediction(
            notation, graph.nodes[index].gradient, graph.nodes[index], labels[-6:]
        )
        if also:
            return notation.name(index), also, prediction
    return None
