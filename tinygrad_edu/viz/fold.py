"""Making a large graph small enough to read: repeated layers become one box, and then whatever is too much.

Calls are numbered in the order they were made, and a box always holds a stretch of that order. So a box never
hides a call between two that it shows, and the folded graph still has no cycle.
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from .graph import Graph

FOLD_ABOVE = 60  # graphs with fewer nodes are shown as they are
REPEATS = 5  # how often something must come again before it is folded
LONGEST_PERIOD = 64  # calls in one repetition
LEAVES = 6  # inputs shown for one box or call, where there are too many


@dataclass(eq=False)
class Box:
    """Some nodes that are shown as one, and in words what they are."""

    members: list[int]
    title: str


def fold(graph: Graph, limit: int = 150) -> list[Box]:
    """Decide what to fold so that about `limit` nodes remain to be seen.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> from tinygrad_edu.viz.graph import trace_graph
    >>> x = tg.Tensor(1.0, requires_grad=True)
    >>> for _ in range(100):
    ...     x = np.sin(x + 1.0)
    >>> [box.title for box in fold(trace_graph(x))]
    ['98 × (add, sin)']
    """
    if len(graph.nodes) <= min(FOLD_ABOVE, limit):
        return []
    calls = [node.index for node in graph.nodes if node.role in ("op", "loss")]
    stretches = _repeats(graph, calls)
    boxes = _boxes(graph, calls, stretches)
    ends = limit // 6
    while _seen(graph, boxes) > limit and ends >= 1 and len(calls) > 2 * ends:
        boxes = _boxes(graph, calls, [(ends, len(calls) - ends, "")])
        ends -= max(1, ends // 4)
    if _seen(graph, boxes) > limit:
        boxes += _crowds(graph, boxes)
    return [box for box in boxes if len(box.members) > 1]


def _seen(graph: Graph, boxes: list[Box]) -> int:
    return len(graph.nodes) - sum(len(box.members) - 1 for box in boxes)


def _repeats(graph: Graph, calls: list[int]) -> list[tuple[int, int, str]]:
    """Find stretches of calls that repeat; keep their first and last repetition in sight."""
    kinds: dict[object, int] = {}
    tokens = [_kind(graph, index) for index in calls]
    codes = np.array([kinds.setdefault(token, len(kinds)) for token in tokens])
    waiting, found = [(0, len(calls))], []
    while waiting:
        low, high = waiting.pop()
        start, period, times = _longest_repeat(codes[low:high])
        if times < REPEATS:
            continue
        start = _at_layer_start(graph, calls, low + start, period)
        times = min(times, (high - start) // period)
        while times * period > 0 and not np.array_equal(
            codes[start : start + (times - 1) * period], codes[start + period : start + times * period]
        ):
            times -= 1
        if times < REPEATS:
            continue
        first, last = start + period, start + (times - 1) * period
        names = ", ".join(graph.nodes[i].op for i in calls[start : start + min(period, 6)])
        found.append((first, last, f"{times - 2} × ({names}{', …' if period > 6 else ''})"))
        waiting += [(low, start), (start + times * period, high)]
    return sorted(found)


def _kind(graph: Graph, index: int) -> object:
    """Describe a call so that the same call in another layer of the same kind is described alike."""
    node = graph.nodes[index]
    return tuple(re.sub(r"\d+", "#", layer) for layer in node.scope), node.op, len(graph.into[index])


def _longest_repeat(codes: "np.ndarray[tuple[int], np.dtype[np.int_]]") -> tuple[int, int, int]:
    """Return start, period and number of repetitions of the stretch that folding would shorten most."""
    best, saved = (0, 1, 0), 0
    for period in range(1, min(LONGEST_PERIOD, len(codes) // REPEATS) + 1):
        same = np.concatenate([[0], codes[:-period] == codes[period:], [0]])
        edges = np.flatnonzero(np.diff(same))
        lengths = edges[1::2] - edges[::2]
        if len(lengths):
            which = int(np.argmax(lengths))
            times = int(lengths[which]) // period + 1
            if (times - 2) * period > saved:
                best, saved = (int(edges[2 * which]), period, times), (times - 2) * period
    return best


def _at_layer_start(graph: Graph, calls: list[int], start: int, period: int) -> int:
    """Move a repetition's start to where a layer starts, if one does within one period."""
    for i in range(start, min(start + period, len(calls))):
        if i == 0 or graph.nodes[calls[i]].scope != graph.nodes[calls[i - 1]].scope:
            return i
    return start


def _boxes(graph: Graph, calls: list[int], stretches: list[tuple[int, int, str]]) -> list[Box]:
    """Put stretches of calls into boxes, and with each the leaves that only it uses."""
    home: dict[int, int] = {}
    boxes = []
    for first, last, title in stretches:
        members = calls[first:last]
        boxes.append(Box(list(members), title or f"{len(members):,} calls"))
        home.update(dict.fromkeys(members, len(boxes) - 1))
    for node in graph.nodes:
        if node.role in ("input", "parameter"):
            homes = {home.get(edge.target) for edge in graph.out_of[node.index]}
            if len(homes) == 1 and (only := homes.pop()) is not None:
                boxes[only].members.append(node.index)
    return boxes


def _crowds(graph: Graph, boxes: list[Box]) -> list[Box]:
    """Put together leaves that stand in a crowd around one call."""
    hidden = {member for box in boxes for member in box.members}
    around: dict[int, list[int]] = {}
    for node in graph.nodes:
        if node.role in ("input", "parameter") and node.index not in hidden and graph.out_of[node.index]:
            around.setdefault(graph.out_of[node.index][0].target, []).append(node.index)
    crowds = [leaves[LEAVES:] for leaves in around.values()]
    return [Box(crowd, f"{len(crowd):,} more arguments") for crowd in crowds if len(crowd) > 1]


def contents(graph: Graph, box: Box) -> str:
    """Count what is in a box, in words."""
    roles = Counter[str](graph.nodes[i].role for i in box.members)
    parts = [
        f"{roles[role]:,} {word}{'s' if roles[role] > 1 else ''}"
        for role, word in (("op", "call"), ("parameter", "parameter"), ("input", "input"))
        if roles[role]
    ]
    return ", ".join(parts)
