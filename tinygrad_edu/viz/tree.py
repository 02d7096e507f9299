"""The graph as a tree of text, for terminals and logs: what a result was computed from, line by line."""

from .graph import CUTS, Graph, GraphNode
from .values import health, summary
from .words import number, shape_text, visible

DEEPEST = 30  # levels of indentation


def tree(graph: Graph, limit: int = 200) -> str:
    """Return the graph as text, the loss first and below each call its arguments, at most `limit` lines long.

    What is used twice is written once; the other place says where to look.

    >>> import tinygrad_edu as tg
    >>> from tinygrad_edu.viz.graph import trace_graph
    >>> a = tg.Tensor(3.0, requires_grad=True, name="a")
    >>> print(tree(trace_graph(a * a + 1.0, gradients=True)))  # doctest: +ELLIPSIS
    loss: add(·, 1)  scalar float64  10  gradient 1 ok ...
    └─ multiply(a, a)  scalar float64  9  gradient 1 ok ...
       ├─ a: parameter  scalar float64  3  gradient 6 ok, Σ of 2 paths
       └─ a: see above
    """
    lines: list[str] = []
    written: set[int] = set()
    waiting = [(len(graph.nodes) - 1, "", "", 0)]
    while waiting and len(lines) < limit:
        index, branch, indent, depth = waiting.pop()
        node = graph.nodes[index]
        if index in written:
            lines.append(f"{branch}{_what(node, short=True)}: see above")
            continue
        written.add(index)
        lines.append(branch + _line(graph, node))
        sources = [edge.source for edge in graph.into[index]]
        if depth == DEEPEST and sources:
            lines.append(f"{indent}└─ … (deeper than {DEEPEST} calls)")
            continue
        for place, source in reversed(list(enumerate(sources))):
            last = place == len(sources) - 1
            waiting.append(
                (source, indent + ("└─ " if last else "├─ "), indent + ("   " if last else "│  "), depth + 1)
            )
    missing = len(graph.nodes) - len(written)
    if missing:
        lines.append(f"… and {missing:,} of {len(graph.nodes):,} nodes more")
    if graph.note:
        lines.append(visible(graph.note, 200))
    return "\n".join(lines)


def _line(graph: Graph, node: GraphNode) -> str:
    parts = [_what(node), f"{shape_text(node.shape)} {node.dtype}"]
    if not isinstance(node.value, tuple):
        parts.append(summary(node.value))
    if graph.computed and node.role != "input" and not isinstance(node.value, tuple):
        parts.append(_gradient(graph, node))
    if node.outdated:
        parts.append("assigned new values since")
    if node.cut:
        parts.append(CUTS[node.cut])
    if node.where:
        parts.append(visible(node.where))
    return "  ".join(parts)


def _what(node: GraphNode, short: bool = False) -> str:
    name = None if node.label is None else visible(node.label)
    if short:
        return name or visible(node.call or node.role, 60)
    word = visible(node.call, 60) if node.op else node.role
    if node.role == "loss" and name != "loss":
        word = f"loss: {word}"
    layers = "  in " + "/".join(visible(layer) for layer in node.scope) if node.scope else ""
    return (f"{name}: {word}" if name else word) + layers


def _gradient(graph: Graph, node: GraphNode) -> str:
    if node.gradient is None:
        return "no gradient reaches it"
    norm, word, _ = health(node.gradient)
    paths = graph.paths_back(node.index)
    what = f"gradient {summary(node.gradient)}" if node.shape == () else f"‖gradient‖ {number(norm)}"
    return f"{what} {word}" + (f", Σ of {paths} paths" if paths > 1 else "")
