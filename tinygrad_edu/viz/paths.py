"""The ways from a loss back to a parameter: counting them exactly, and choosing those that are walked.

There may be exponentially many (a residual network of 100 layers has 2^100). Counting needs one visit to each
node, and the shortest paths are found like the shortest of a road map, a few for each node.
"""

import copy
import heapq
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..backward import shares
from ..containers import at, paths, rebuild
from ..recording import make
from ..rules import unbroadcast
from .graph import Edge, Graph, GraphNode, with_arrays
from .notation import Notation
from .running import run_on_symbols
from .symbols import DOT, SUBSCRIPTS, TIMES, Symbol

PATHS = 16  # how many paths are walked one by one
STEPS = 50_000  # about how many calls are gone through for all of them


class Step:
    """One call on a path, and the one argument through which the path goes on."""

    def __init__(self, graph: Graph, edge: Edge):
        self.graph = graph
        self.edge = edge
        self.node: GraphNode = graph.nodes[edge.target]
        self.source: GraphNode = graph.nodes[edge.source]

    @cached_property
    def alone(self) -> Any:
        """The recorded call as if this argument were its only Tensor."""
        record = copy.copy(self.node.record)
        assert record is not None
        args: list[Any] = [None] * len(record.args)
        args[self.edge.position] = _only(record.args[self.edge.position], self.edge.path)
        record.args = tuple(args)
        return record

    @property
    def vjp(self) -> Any:
        """The call's gradient rule for this argument."""
        record = self.node.record
        assert record is not None
        return (record.rule.vjps_of(record.args))[self.edge.position]

    def pull(self, gradient: Any) -> Any:
        """Run the call's own rule on a gradient that arrives at its result."""
        with np.errstate(all="ignore"):
            found = shares(self.alone, make(self.node.value), gradient, False)
        return found[0][1] if found else np.zeros_like(self.source.value)  # a rule may return None for 0

    def write(self, gradient: Any, notation: Notation, sums: bool) -> Any:
        """Run the call's own rule on symbols. With `sums` the text shows the sums that undo broadcasting."""
        record = self.node.record
        assert record is not None
        names = {edge.slot: notation.symbol(edge.source) for edge in self.graph.into[self.node.index]}
        arrays = [with_arrays(array, f"arg {i}", names.get) for i, array in enumerate(record.arrays, 1)]
        if isinstance(gradient, tuple):  # of several results: those that the path does not use pass on 0
            zeros = (Symbol("0", np.zeros_like(result)) for result in self.node.value)
            gradient = tuple(zero if g is None else g for g, zero in zip(gradient, zeros, strict=True))
        part = run_on_symbols(self.vjp, gradient, notation.symbol(self.node.index), *arrays, **record.kwargs)
        part = at(part, self.edge.path)
        return self._summed(part, sums) if record.rule.undo_broadcast else part

    def _summed(self, part: Any, sums: bool) -> Any:
        """Undo broadcasting as the engine does, and with `sums` also on paper."""
        if not isinstance(part, Symbol):
            return part
        value = np.broadcast_to(part.value, self.node.shape) if self.diagonal else part.value
        if value.shape == self.edge.shape:
            return Symbol(part.text, value, part.level)
        value = unbroadcast(value, self.edge.shape)
        if not sums:
            return Symbol(part.text, value, part.level)
        axes = "".join(re.findall(r"\d", self.summed)).translate(SUBSCRIPTS)
        return Symbol(f"Σ{axes} {part.within(DOT)}", value, TIMES)

    @property
    def summed(self) -> str:
        """How the gradient is summed to undo broadcasting, in words; empty if it is not."""
        return self.edge.unbroadcast.split(" → ")[1] if self.edge.unbroadcast else ""

    @property
    def diagonal(self) -> bool:
        """Whether the call works element by element, so that its derivative is a number for each element."""
        return self.node.record is not None and self.node.record.rule.elementwise


def _only(arg: Any, path: tuple[Any, ...]) -> Any:
    """Keep the one Tensor at a place in an argument that is a container."""
    return rebuild(arg, iter([leaf if where == path else None for where, leaf in paths(arg)]))


def carrying(edges: Sequence[Edge]) -> list[Edge]:
    """Return the edges through which a gradient flows."""
    return [edge for edge in edges if edge.order is not None]


def count_paths(graph: Graph) -> list[int]:
    """Count, for each node, the paths on which a gradient reaches it from the loss."""
    counts = [0] * len(graph.nodes)
    counts[-1] = 1
    for node in reversed(graph.nodes):
        for edge in carrying(graph.into[node.index]):
            counts[edge.source] += counts[node.index]
    return counts


def leading_to(graph: Graph, index: int) -> set[int]:
    """Return the nodes from which a gradient flows to the one at `index`."""
    found = {index}
    for node in graph.nodes[index + 1 :]:
        if any(edge.source in found for edge in carrying(graph.into[node.index])):
            found.add(node.index)
    return found


# a path so far: how many steps, the last of them, and the path before it
Trail = tuple[int, Edge | None, Any]


def paths_to_walk(graph: Graph, index: int, below: set[int]) -> list[list[Edge]]:
    """Choose the paths to walk: all if they are few, else the shortest, with as many uses as possible."""
    trails: dict[int, list[Trail]] = {len(graph.nodes) - 1: [(0, None, None)]}
    by_use: list[list[Trail]] = []
    for node in reversed(graph.nodes):
        best = trails.pop(node.index, [])
        if node.index == index:
            by_use = by_use or [best]
            break
        kept = heapq.nsmallest(PATHS, best, key=lambda trail: trail[0])
        for edge in carrying(graph.into[node.index]):
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
