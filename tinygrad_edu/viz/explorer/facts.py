"""From a `Graph` to plain facts that fit in JSON: what stays the same in a page, and what is measured.

Every text that somebody else chose passes through `visible` here, so that it shows itself and nothing more.
"""

import linecache
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..fold import fold
from ..formula import rule_text
from ..graph import Edge, Graph, GraphNode
from ..values import readable
from ..words import shape_text, visible
from .arrays import Arrays, image_side
from .numbers import rule_with_numbers

AROUND = 8  # lines of code shown above and below a recorded one
MOST_LINES = 1500
LONGEST_LINE = 160
Path = tuple[str, ...]


def graph_facts(graph: Graph) -> dict[str, Any]:
    """Write down what does not change while training: nodes, edges, layers, rules and source lines."""
    paths, titles = _paths(graph)
    groups: dict[Path, int] = {}
    for path in paths:
        for depth in range(1, len(path) + 1):
            groups.setdefault(path[:depth], len(groups))
    files, places = _code(graph)
    return {
        "nodes": [
            _node(graph, node, groups.get(paths[node.index], -1), places) | _beside(graph, node, paths)
            for node in graph.nodes
        ],
        "edges": [_edge(edge) for edge in graph.edges],
        "groups": [
            {
                "parent": groups.get(path[:-1], -1),
                "title": titles.get(path[-1]) or visible(path[-1][1:]),
                "folded": path[-1] in titles,
            }
            for path in groups
        ],
        "files": files,
        "note": visible(graph.note, 200) if graph.note else "",
        "computed": graph.computed,
    }


def _node(graph: Graph, node: GraphNode, group: int, places: dict[int, list[int]]) -> dict[str, Any]:
    return {
        "role": node.role,
        "name": None if node.label is None else visible(node.label),
        "op": visible(node.op) if node.op else "",
        "call": visible(node.call, 120) if node.call else "",
        "shape": shape_text(node.shape),
        "dtype": node.dtype,
        "rule": rule_text(graph, node),
        "where": visible(node.where, 80) if node.where else "",
        "place": places.get(node.index),
        "group": group,
        "layers": [visible(layer) for layer in node.scope],
    }


def _edge(edge: Edge) -> dict[str, Any]:
    return {
        "source": edge.source,
        "target": edge.target,
        "slot": visible(edge.slot),
        "shape": shape_text(edge.shape),
        "order": edge.order,
        "unbroadcast": edge.unbroadcast,
    }


def _paths(graph: Graph) -> tuple[list[Path], dict[str, str]]:
    """Say in which boxes each node is, from the outermost: folded stretches first, then its layers.

    The keys of folded stretches start with a character that no layer's key starts with.
    """
    stretch: dict[int, Path] = {}
    titles: dict[str, str] = {}
    for i, box in enumerate(fold(graph)):
        key = f"f{i}"
        titles[key] = visible(box.title, 80)
        stretch.update((member, (key,)) for member in box.members)
    paths: list[Path] = [()] * len(graph.nodes)
    for node in graph.nodes:
        if node.op:
            paths[node.index] = stretch.get(node.index, ()) + tuple("l" + layer for layer in node.scope)
    for node in graph.nodes:
        if not node.op:
            users = [edge.target for edge in graph.out_of[node.index]]
            close = node.role == "parameter" or any(_stands_beside(graph, node, user) for user in users)
            shared = _common([paths[user] for user in users]) if close else ()
            own = stretch.get(node.index, ())
            paths[node.index] = shared if shared[: len(own)] == own else own
    return paths, titles


def _stands_beside(graph: Graph, leaf: GraphNode, user: int) -> bool:
    """Tell whether a leaf stands beside a call, which then has something else to stand below."""
    others = [edge.source for edge in graph.into[user] if edge.source != leaf.index]
    return bool(others) if leaf.role == "parameter" else any(graph.nodes[other].op for other in others)


def _beside(graph: Graph, node: GraphNode, paths: Sequence[Path]) -> dict[str, int | None]:
    """Say beside which call a leaf is drawn: the first that uses it, if it is in the same box."""
    first = None if node.op or not graph.out_of[node.index] else graph.out_of[node.index][0].target
    if first is None or paths[first] != paths[node.index] or not _stands_beside(graph, node, first):
        return {"beside": None}
    return {"beside": first}


def _common(paths: Sequence[Path]) -> Path:
    shared: list[str] = []
    for steps in zip(*paths, strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return tuple(shared)


def sizes(graph: Graph, sent: dict[int, Any]) -> list[int]:
    """List how many numbers each array has that a page would store."""
    arrays = [node.value for node in graph.nodes] + [node.gradient for node in graph.nodes]
    several = [part for edge, part in _sent_along(graph, sent) if graph.paths_back(edge.source) > 1]
    return [array.size for array in [*arrays, *several, *several] if readable(array)]


def _sent_along(graph: Graph, sent: dict[int, Any]) -> Iterator[tuple[Edge, Any]]:
    """Yield edges in the order of the backward pass, each with what was sent along it (None: nothing)."""
    for edge in sorted((edge for edge in graph.edges if edge.order), key=lambda edge: edge.order or 0):
        yield edge, sent.get(edge.order or 0)


def measured(graph: Graph, sent: dict[int, Any], arrays: Arrays, label: str) -> dict[str, Any]:
    """Write down what a graph holds at this moment: values, gradients, and how gradients were added up."""
    nodes = []
    for node in graph.nodes:
        value, gradient = arrays.add(node.value), arrays.add(node.gradient)
        nodes.append([value, gradient, *_images(graph, node, arrays)])
    totals: dict[int, Any] = {}
    arrivals = {}
    for edge, part in _sent_along(graph, sent):
        if part is None:
            continue
        before = totals.get(edge.source)
        totals[edge.source] = part if before is None else _add(before, part)
        numbers = rule_with_numbers(graph, graph.nodes[edge.target], edge)
        arrivals[str(edge.order)] = [arrays.add(part), arrays.add(totals[edge.source]), numbers]
    loss = graph.nodes[-1].value
    return {
        "label": visible(label, 120) if label else "",
        "loss": arrays.stored[nodes[-1][0]]["summary"] if nodes[-1][0] is not None else "",
        "loss_value": float(loss) if readable(loss) and np.shape(loss) == () and np.isfinite(loss) else None,
        "nodes": nodes,
        "arrivals": arrivals,
    }


def _add(a: Any, b: Any) -> Any:
    """Add what arrived on two paths, as the backward pass does."""
    if isinstance(a, tuple):
        return tuple(q if p is None else p if q is None else p + q for p, q in zip(a, b, strict=True))
    with np.errstate(all="ignore"):
        return a + b


def _images(graph: Graph, node: GraphNode, arrays: Arrays) -> list[int | None]:
    """Store rows of images that come in as data, and columns of the weights that they are multiplied by."""
    if not readable(node.value) or node.value.ndim != 2:
        return [None, None]
    if node.role == "input" and image_side(node.value.shape[1]) and _multiplied(graph, node, 0):
        return [arrays.add_images(node.value), None]
    if node.role == "parameter" and image_side(node.value.shape[0]) and _multiplied(graph, node, 1):
        slopes = arrays.add_images(node.gradient.T) if readable(node.gradient) else None
        return [arrays.add_images(node.value.T), slopes]
    return [None, None]


def _multiplied(graph: Graph, node: GraphNode, position: int) -> bool:
    """Tell whether a node is an input times a weight, at this position of the product."""
    for edge in graph.out_of[node.index]:
        record = graph.nodes[edge.target].record
        first = next((other for other in graph.into[edge.target] if other.position == 0), None)
        if record is not None and record.fn in (np.matmul, np.dot) and edge.position == position:
            return first is not None and graph.nodes[first.source].role == "input"
    return False


def _code(graph: Graph) -> tuple[list[dict[str, Any]], dict[int, list[int]]]:
    """Quote the lines around each recorded call: files, and for every node its file and line."""
    wanted: dict[str, set[int]] = {}
    for node in graph.nodes:
        if node.source:
            filename, line = node.source
            wanted.setdefault(filename, set()).update(range(line - AROUND, line + AROUND + 1))
    names = list(wanted)
    files = []
    for filename in names:
        lines = linecache.getlines(filename)
        kept = [n for n in sorted(wanted[filename]) if 1 <= n <= len(lines)][:MOST_LINES]
        quoted = [[n, _line(lines[n - 1])] for n in kept]
        files.append({"name": visible(os.path.basename(filename), 80), "lines": quoted})
    places = {
        node.index: [names.index(node.source[0]), node.source[1]] for node in graph.nodes if node.source
    }
    return files, places


def _line(line: str) -> str:
    text = line.rstrip().expandtabs(4)
    return visible(text, LONGEST_LINE) if text else ""
