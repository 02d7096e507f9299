"""From the facts of a `Graph` to Graphviz: a table for every node, a box for every layer, an arrow each way.

Everything a user chose goes through `escape` on its way into a label, and node identifiers are our own
(``n0``, ``n1``, ...). The text depends on the graph alone: no addresses, no hash order, no folders.
"""

import html
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from .fold import Box, contents, fold
from .formula import rule_text
from .graph import CUTS, Edge, Graph, GraphNode
from .picture import Picture
from .values import health, heatmap, range_of, readable, summary
from .words import number, shape_text, visible

Level = Literal["brief", "normal", "full"]
LEVELS = ("brief", "normal", "full")
HEADERS = {"input": "#bdd7ee", "parameter": "#c1e2c1", "op": "#ffe8b0", "loss": "#ffc9c9"}
BACK, QUIET, PALE = "#c62828", "#616161", "#eef6ee"
LETTERS = "ḡ: gradient of the node itself; x̄: of its argument x; ◦: element by element"
CELL = 6  # a heatmap cell's side, in points


def escape(text: object, limit: int = 40) -> str:
    """Make any text safe inside a Graphviz HTML label, where a backslash means something too.

    >>> escape("<b> & \\\\N")
    '&lt;b&gt; &amp; \\\\\\\\N'
    """
    return html.escape(visible(text, limit)).replace("\\", "\\\\").replace("  ", " \u00a0")


def picture_of(
    graph: Graph,
    level: Level,
    title: str,
    limit: int,
    sent: dict[int, Any],
    dot: Any = None,
    timeout: float = 20.0,
) -> Picture:
    """Draw a graph with Graphviz; `sent` is what goes back along each edge, by its order."""
    boxes = fold(graph, limit)
    drawing = _Drawing(graph, level, boxes, sent)
    caption = _caption(graph, boxes, title, level)
    picture = Picture(dot=dot, timeout=timeout)
    picture.attr("graph", rankdir="TB", fontname="Helvetica", fontsize="11", nodesep="0.3", ranksep="0.35")
    picture.attr("graph", label=f"<{caption}>", labelloc="b", pad="0.2")
    picture.attr("node", shape="plain", fontname="Helvetica", fontsize="10")
    picture.attr("edge", fontname="Helvetica", fontsize="9", color="#424242", arrowsize="0.7")
    drawing.clusters(picture)
    drawing.arrows(picture)
    return picture


class _Drawing:
    """The nodes and boxes that are seen, and where they go."""

    def __init__(self, graph: Graph, level: Level, boxes: Sequence[Box], sent: dict[int, Any]):
        self.graph = graph
        self.sent = sent
        self.level = level
        self.boxes = {f"f{number}": box for number, box in enumerate(boxes)}
        self.seen_as = [f"n{node.index}" for node in graph.nodes]
        for key, box in self.boxes.items():
            for member in box.members:
                self.seen_as[member] = key
        self.clusters_made = 0

    def clusters(self, picture: Picture) -> None:
        """Draw the nodes, each inside the boxes of its layers."""
        placed: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        for key, label, scope in self._labels():
            placed.setdefault(scope, []).append((key, label))
        self._cluster(picture, (), placed)

    def _labels(self) -> Iterable[tuple[str, str, tuple[str, ...]]]:
        done = set()
        for node in self.graph.nodes:
            key = self.seen_as[node.index]
            if key not in self.boxes:
                yield key, _table(self.graph, node, self.level), self._home(node)
            elif key not in done:
                done.add(key)
                box = self.boxes[key]
                scopes = [self.graph.nodes[i].scope for i in box.members if self.graph.nodes[i].op]
                yield key, _box_table(self.graph, box), _common(scopes)

    def _home(self, node: GraphNode) -> tuple[str, ...]:
        """Return the layer that a node is drawn in; a leaf is drawn with the calls that use it."""
        if node.op:
            return node.scope
        users = [edge.target for edge in self.graph.out_of[node.index]]
        beside = node.role == "parameter" or any(self._beside(node, user) for user in users)
        return _common([self.graph.nodes[user].scope for user in users]) if beside else ()

    def _beside(self, leaf: GraphNode, user: int) -> bool:
        """Tell whether a leaf stands beside a call (which has something else to stand below)."""
        others = [edge for edge in self.graph.into[user] if edge.source != leaf.index]
        if leaf.role == "parameter":
            return bool(others)
        return any(self.graph.nodes[edge.source].op for edge in others)

    def _cluster(self, graph: Any, scope: tuple[str, ...], placed: dict[Any, list[tuple[str, str]]]) -> None:
        for key, label in placed.get(scope, []):
            graph.node(key, f"<{label}>")
        depth = len(scope)
        inner = dict.fromkeys(s[: depth + 1] for s in placed if len(s) > depth and s[:depth] == scope)
        for layer in inner:
            with graph.subgraph(name=f"cluster_{self.clusters_made}") as cluster:
                self.clusters_made += 1
                fill = "#f5f7fc" if depth % 2 == 0 else "#e9eef8"
                cluster.attr(label=f"<<B>{escape(layer[-1])}</B>>", style="rounded,filled", fillcolor=fill)
                cluster.attr(color="#9fb3c8", fontsize="12", margin="10", labelloc="t")
                self._cluster(cluster, layer, placed)
        self._ranks(graph, scope)

    def _ranks(self, graph: Any, scope: tuple[str, ...]) -> None:
        """Put a call's parameters beside it instead of above it."""
        for node in self.graph.nodes:
            if not node.op and self._home(node) == scope and self.graph.out_of[node.index]:
                user = self.graph.out_of[node.index][0].target
                pair = self.seen_as[node.index], self.seen_as[user]
                same_home = self.graph.nodes[user].scope == scope
                if not set(pair) & set(self.boxes) and same_home and self._beside(node, user):
                    graph.body.append(f"\t{{rank=same; {pair[0]}; {pair[1]}}}\n")

    def arrows(self, picture: Picture) -> None:
        """Draw an arrow for every argument, and a dashed one back for every gradient."""
        drawn = set()
        for edge in self.graph.edges:
            ends = self.seen_as[edge.source], self.seen_as[edge.target]
            if ends[0] == ends[1]:
                continue
            if set(ends) & set(self.boxes):  # what goes in and out of a folded box: one arrow for all
                if ends not in drawn:
                    drawn.add(ends)
                    picture.edge(*ends)
                    if edge.order is not None:
                        picture.edge(*ends, dir="back", style="dashed", color=BACK)
                continue
            straight = self._straight_down(edge)
            picture.edge(*ends, label=f"<{_forward_label(self.graph, edge, self.level)}>", **straight)
            if edge.order is not None:
                label = f'<FONT COLOR="{BACK}">{_backward_label(edge, self.sent)}</FONT>'
                picture.edge(*ends, label=f"<{label}>", dir="back", style="dashed", color=BACK)

    def _straight_down(self, edge: Edge) -> dict[str, str]:
        """Lead the arrows of a chain from the middle of a node to the middle of the next."""
        leaf = self.graph.nodes[edge.source]
        twice = sum(other.source == edge.source for other in self.graph.into[edge.target]) > 1
        beside = not leaf.op and self._beside(leaf, edge.target)
        return {} if twice or beside else {"tailport": "s", "headport": "n", "weight": "4"}


def _common(scopes: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the layers that all the given calls are in."""
    common = scopes[0] if scopes else ()
    for scope in scopes:
        length = next((i for i, (a, b) in enumerate(zip(common, scope, strict=False)) if a != b), None)
        common = common[: min(len(common), len(scope)) if length is None else length]
    return common


def _forward_label(graph: Graph, edge: Edge, level: Level) -> str:
    shape = escape(shape_text(edge.shape))
    if len(graph.into[edge.target]) == 1 and level != "full":
        return shape
    return f"{shape}<BR/>{escape(edge.slot)}"


def _backward_label(edge: Edge, sent: dict[int, Any]) -> str:
    """Write an edge's place in the backward pass, the size of what it adds, and what is summed on the way."""
    assert edge.order is not None
    lines = [f"<B> \u00a0{edge.order} \u00a0</B>"]
    part = sent.get(edge.order)
    if isinstance(part, (np.ndarray, np.generic)):
        size = number(part) if part.ndim == 0 else f"‖{number(np.linalg.norm(part))}‖"
        lines.append(escape(f"\u00a0+ {size}\u00a0"))
    if edge.unbroadcast:
        lines.append(escape(edge.unbroadcast, 80))
    return "<BR/>".join(lines)


def _table(graph: Graph, node: GraphNode, level: Level) -> str:
    """Write one node's table: what it is, its values, its gradient, its rule, and where it was written."""
    rows = [_row(_title(node), HEADERS[node.role])]
    if node.call and (level == "full" or node.call.partition("(")[2].strip("·), ")) and level != "brief":
        rows.append(_row(_small(escape(node.call, 60))))
    facts = escape(f"{shape_text(node.shape)} {node.dtype}")
    if level == "brief":
        rows.append(_row(facts + _scalar(node)))
    else:
        lines = [facts, escape(summary(node.value))]
        if level == "full" and node.shape:
            lines += [escape(line) for line in (range_of(node.value), _numbers(node.value)) if line]
        if node.outdated:
            lines.append(_small("assigned new values since", QUIET))
        if node.cut:
            lines.append(_small(CUTS[node.cut], QUIET))
        rows.append(_pair(lines, node.value))
    rows += _gradient_rows(graph, node, level)
    if node.record is not None and level != "brief":
        text = rule_text(graph, node)
        if text:
            rows.append(_row(f'<FONT COLOR="{BACK}">{_equations(text)}</FONT>', align="LEFT"))
        rows.append(_row(_small(escape(node.where), QUIET), align="RIGHT"))
    return _frame(rows)


def _equations(text: str) -> str:
    """Write equations side by side, or below each other where they would make the table wide."""
    equations = [escape(equation, 120) for equation in text.split("   ")]
    if len(text) <= 32:
        return " \u00a0 ".join(equations)
    return "".join(f'{equation}<BR ALIGN="LEFT"/>' for equation in equations)


def _title(node: GraphNode) -> str:
    word = {"input": "input", "parameter": "parameter", "op": "", "loss": "loss:"}[node.role]
    what = f"{word} {escape(node.op)}".strip() if node.op else word
    if node.name is None:
        if node.role == "loss" and node.variable == "loss":
            return what
        return f"<I>{escape(node.variable)}</I> {what}" if node.variable else what
    return f"<B>{escape(node.name)}</B> {what}"


def _scalar(node: GraphNode) -> str:
    return f" {escape(summary(node.value))}" if _is_scalar(node.value) else ""


def _is_scalar(value: Any) -> bool:
    return readable(value) and value.ndim == 0


def _numbers(value: Any) -> str:
    """Write out the values of a very small array."""
    if not readable(value) or not 0 < value.size <= 6 or value.ndim == 0:
        return ""
    return "[" + ", ".join(number(x) for x in value.ravel()) + "]"


def _gradient_rows(graph: Graph, node: GraphNode, level: Level) -> list[str]:
    if node.role == "input" or isinstance(node.value, tuple):
        return []
    paths = graph.paths_back(node.index)
    meet = f"Σ of {paths} paths" if paths > 1 else ""
    if not graph.computed:
        text = "gradient not computed" + (f", {meet}" if meet else "")
        return [_row(_small(text, QUIET), align="LEFT")]
    if node.gradient is None:
        return [_row(_small("no gradient reaches it", QUIET), align="LEFT")]
    norm, word, color = health(node.gradient)
    what = f"gradient {summary(node.gradient)}" if _is_scalar(node.gradient) else f"‖gradient‖ {number(norm)}"
    lines = [f'{what} <FONT COLOR="{color}"><B>{word}</B></FONT>']
    if meet:
        lines.append(f'<FONT COLOR="{BACK}">{meet}</FONT>')
    if level == "brief":
        return [_row("<BR/>".join(lines), PALE)]
    if level == "full" and node.shape:
        lines += [escape(line) for line in (summary(node.gradient), _numbers(node.gradient)) if line]
    if node.held is not None and not _same(node.held, node.gradient):
        lines.append(_small(f".grad holds another, of norm {number(health(node.held).norm)}", QUIET))
    return [_pair(lines, node.gradient, PALE)]


def _same(a: Any, b: Any) -> bool:
    if not (readable(a) and readable(b)):
        return True
    return a.shape == b.shape and bool((abs(a - b) <= 1e-6 * abs(b) + 1e-12).all() or (a != a).any())


def _box_table(graph: Graph, box: Box) -> str:
    """Write the table of a folded box: what it holds, and how gradients do in there."""
    rows = [_row(f"… <B>{escape(box.title, 80)}</B>", "#e0e0e0"), _row(escape(contents(graph, box)))]
    layers = list(dict.fromkeys(graph.nodes[i].scope[-1] for i in box.members if graph.nodes[i].scope))
    if layers:
        ends = layers if len(layers) < 3 else [layers[0], "…", layers[-1]]
        rows.append(_row(_small(" ".join(escape(layer) for layer in ends))))
    if graph.computed:
        norms = [
            health(graph.nodes[i].gradient)
            for i in sorted(box.members)
            if graph.nodes[i].gradient is not None
        ]
        if norms:
            rows.append(_row(_norms(norms), PALE))
    return _frame(rows)


def _norms(found: Sequence[Any]) -> str:
    """Say how gradients grow or shrink along a folded stretch."""
    words = dict.fromkeys((one.word, one.color) for one in found)
    counted = [
        f'<FONT COLOR="{color}"><B>{word}</B></FONT> {sum(one.word == word for one in found):,}'
        for word, color in words
    ]
    return f"‖gradient‖ first {number(found[0].norm)}, last {number(found[-1].norm)}<BR/>" + ", ".join(
        counted
    )


def _caption(graph: Graph, boxes: Sequence[Box], title: str, level: Level) -> str:
    """Write the picture's title, what is folded, and the key to its colours."""
    lines = [f'<B><FONT POINT-SIZE="13">{escape(title, 80)}</FONT></B>'] if title else []
    if boxes:
        hidden = sum(len(box.members) for box in boxes)
        places = "1 grey box" if len(boxes) == 1 else f"{len(boxes)} grey boxes"
        lines.append(f"{hidden:,} of {len(graph.nodes):,} nodes are folded into {places}")
    if graph.note:
        lines.append(escape(graph.note, 200))
    text = "".join(f'<TR><TD COLSPAN="6">{line}</TD></TR>' for line in lines)
    key = "".join(f'<TD BGCOLOR="{color}">{role}</TD>' for role, color in HEADERS.items())
    back = "← gradients, numbered in the order of the backward pass, with the size of what they add"
    arrows = f'<TD>→ values</TD><TD><FONT COLOR="{BACK}">{back}</FONT></TD>'
    letters = (
        f'<TR><TD COLSPAN="6"><FONT COLOR="{BACK}">{LETTERS}</FONT></TD></TR>' if level != "brief" else ""
    )
    return (
        '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="3" CELLPADDING="2">'
        f"{text}<TR>{key}{arrows}</TR>{letters}</TABLE>"
    )


def _frame(rows: Sequence[str]) -> str:
    return (
        '<TABLE BORDER="0" CELLBORDER="1" CELLSPACING="0" CELLPADDING="3" COLOR="#757575" BGCOLOR="#ffffff">'
        + "".join(rows)
        + "</TABLE>"
    )


def _row(text: str, background: str = "", align: str = "") -> str:
    extra = (f' BGCOLOR="{background}"' if background else "") + (f' ALIGN="{align}"' if align else "")
    return f'<TR><TD COLSPAN="2"{extra}>{text}</TD></TR>'


def _pair(lines: Sequence[str], value: Any, background: str = "") -> str:
    """Write a row of text with a heatmap beside it."""
    extra = f' BGCOLOR="{background}"' if background else ""
    cells = heatmap(value)
    text = "".join(f'{line}<BR ALIGN="LEFT"/>' for line in lines)
    if not cells:
        return f'<TR><TD COLSPAN="2" ALIGN="LEFT"{extra}>{text}</TD></TR>'
    return f'<TR><TD ALIGN="LEFT"{extra}>{text}</TD><TD{extra}>{_heat_table(cells)}</TD></TR>'


def _heat_table(cells: Sequence[Sequence[str]]) -> str:
    size = f'FIXEDSIZE="TRUE" WIDTH="{CELL}" HEIGHT="{CELL}"'
    rows = ("".join(f'<TD {size} BGCOLOR="{color}"></TD>' for color in row) for row in cells)
    whole = f'FIXEDSIZE="TRUE" WIDTH="{CELL * len(cells[0])}" HEIGHT="{CELL * len(cells)}"'
    body = "".join(f"<TR>{row}</TR>" for row in rows)
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0" {whole}>{body}</TABLE>'


def _small(text: str, color: str = "#424242") -> str:
    return f'<FONT POINT-SIZE="9" COLOR="{color}">{text}</FONT>'
