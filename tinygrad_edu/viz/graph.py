"""The graph behind a result, in one form that every picture of it is made from.

`trace_graph` walks once from a loss to everything it was computed from, and writes down plain facts: nodes in
the order they were made, one edge for every argument, and the order in which the backward pass uses edges.
Pictures, text and explanations read these facts and never the Tensors themselves.
"""

import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from ..backward import pull, shares
from ..containers import paths, rebuild
from ..containers import spelled as spelled_tree
from ..recording import LEAF, Node, Recorded, tensors_in
from ..rules.indexing import getitem
from ..source import Sources
from .words import is_array, shape_text, spelled

Role = Literal["input", "parameter", "op", "loss"]
GETITEM = inspect.unwrap(getitem)
Wish = Literal["auto"] | bool


# how a node says that no gradient flows through it although it was computed from parameters
CUTS = {"detached": "detached: no gradient", "no_grad": "computed under no_grad: no gradient"}


@dataclass(eq=False)
class GraphNode:
    """One array in the graph: an input, a parameter, or the result of a call (the loss being the last)."""

    index: int
    role: Role
    name: str | None
    value: Any
    op: str = ""
    call: str = ""
    scope: tuple[str, ...] = ()
    source: tuple[str, int] | None = None
    gradient: Any = None
    held: Any = None  # what a leaf's .grad holds
    outdated: bool = False  # whether a leaf was assigned new values since
    cut: str = ""  # how an input lost its way back to parameters: "detached" or "no_grad"
    variable: str | None = None  # what the user's line calls it
    record: Node | None = field(default=None, repr=False)

    @property
    def label(self) -> str | None:
        """Its name, or else the variable that the user's line has it in."""
        return self.variable if self.name is None else self.name

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis; of a call with several results, their number."""
        return (len(self.value),) if isinstance(self.value, tuple) else tuple(self.value.shape)

    @property
    def dtype(self) -> str:
        """The type of the elements."""
        return "several results" if isinstance(self.value, tuple) else str(self.value.dtype)

    @property
    def where(self) -> str:
        """The user's file and line, such as ``train.py:12``, without the folder."""
        return f"{os.path.basename(self.source[0])}:{self.source[1]}" if self.source else ""


@dataclass(eq=False)
class Edge:
    """One argument of one call.

    `slot` names the argument, `position` is its place in the call, and `path` where in it the array stands;
    `order` counts the steps of the backward pass from 1 (None where no gradient flows), `unbroadcast` says
    how the gradient is summed on its way back.
    """

    source: int
    target: int
    slot: str
    position: int
    shape: tuple[int, ...]
    path: tuple[Any, ...] = ()
    order: int | None = None
    unbroadcast: str = ""


@dataclass(eq=False)
class Graph:
    """Everything a picture needs: nodes in topological order, edges, and whether gradients are known.

    `note` says why they are not, in words.
    """

    nodes: list[GraphNode]
    edges: list[Edge]
    computed: bool
    note: str
    into: list[list[Edge]] = field(repr=False, default_factory=list)
    out_of: list[list[Edge]] = field(repr=False, default_factory=list)

    def __post_init__(self) -> None:
        self.into = [[] for _ in self.nodes]
        self.out_of = [[] for _ in self.nodes]
        for edge in self.edges:
            self.into[edge.target].append(edge)
            self.out_of[edge.source].append(edge)

    def paths_back(self, index: int) -> int:
        """Count the paths on which a gradient reaches a node; where there are several, they are added."""
        return sum(edge.order is not None for edge in self.out_of[index])


def trace_graph(loss: Any, gradients: Wish = "auto") -> Graph:
    """Write down the graph below a Tensor.

    Args:
        loss: the Tensor to start from.
        gradients: True runs the backward pass for the picture (no ``grad`` is written, no hook is called);
            False leaves gradients out; "auto" does as True if any leaf below holds a ``grad``.

    Raises:
        TypeError: `loss` is not a Tensor.

    >>> import tinygrad_edu as tg
    >>> a = tg.Tensor(3.0, requires_grad=True, name="a")
    >>> graph = trace_graph(a * a + 1.0, gradients=True)
    >>> [(node.role, node.call or node.name) for node in graph.nodes]
    [('parameter', 'a'), ('op', 'multiply(a, a)'), ('loss', 'add(·, 1)')]
    >>> [(edge.source, edge.target, edge.order) for edge in graph.edges]
    [(0, 1, 2), (0, 1, 3), (1, 2, 1)]
    >>> graph.nodes[0].gradient
    np.float64(6.0)
    """
    if not isinstance(loss, Recorded):
        raise TypeError(
            f"a graph is drawn from a Tensor, such as a loss, and this is a {type(loss).__name__}; "
            "the Tensor must be computed from one with requires_grad=True for its calls to be recorded"
        )
    if gradients not in ("auto", True, False):
        raise ValueError(f'gradients= takes "auto", True or False, and got {gradients!r}')
    ops = calls_below(loss)
    nodes, edges, numbers = _write_down(loss, ops)
    found, note = _found(loss, ops, nodes, gradients)
    for vertex, total in found:
        if id(vertex) in numbers:
            nodes[numbers[id(vertex)]].gradient = total
    _number_backward(ops, nodes, edges, numbers)
    return Graph(nodes, edges, not note, note)


def calls_below(loss: Recorded) -> list[Any]:
    """List the computed Tensors below `loss`, itself included, in the order in which they were made."""
    seen = {id(loss): loss}
    waiting: list[Any] = [loss]
    while waiting:
        vertex = waiting.pop()
        if vertex.node is None or vertex.node is LEAF:
            continue
        for *_, arg in arguments(vertex.node):
            if isinstance(arg, Recorded) and id(arg) not in seen:
                seen[id(arg)] = arg
                waiting.append(arg)
    computed = [t for t in seen.values() if t.node is not None and t.node is not LEAF]
    return sorted(computed, key=lambda t: t.node.serial)


def slot_names(node: Node) -> list[str]:
    """Return the names of a call's positional arguments, as its gradient rule calls them."""
    vjp = next((v for v in node.rule.vjps if v is not None), None)
    names: list[str] = []
    if vjp is not None:
        parameters = list(inspect.signature(vjp).parameters.values())[2:]
        names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names + [f"argument {i + 1}" for i in range(len(names), len(node.args))]


class Argument(NamedTuple):
    """A Tensor or array that a call was given: in which argument, what that slot is called, where in it."""

    position: int
    slot: str
    path: tuple[Any, ...]
    value: Any


def arguments(node: Node) -> Iterator[Argument]:
    """Go through the Tensors and arrays that a call was given, those inside containers too."""
    given = [(i, f"arg {i + 1}", arg) for i, arg in enumerate(node.args)]
    given += [(len(node.args), f"{key}=", value) for key, value in node.kwargs.items()]
    for position, slot, arg in given:
        if node.fn is GETITEM and position and not is_array(arg) and not tensors_in(arg):
            continue  # an index of plain arrays is no argument to draw
        for path, leaf in paths(arg):
            if isinstance(leaf, Recorded) or is_array(leaf):
                yield Argument(position, slot_at(slot, path), path, leaf)


def slot_at(slot: str, path: Sequence[Any]) -> str:
    """Name a place inside an argument, such as ``arg 1[0]``."""
    return slot + "".join(f"[{key}]" for key in path)


def with_arrays(arg: Any, slot: str, found: Callable[[str, Any], Any]) -> Any:
    """Replace the arrays in an argument, each by what `found` returns for its slot and itself."""
    return rebuild(arg, iter([found(slot_at(slot, path), leaf) for path, leaf in paths(arg)]))


def _write_down(loss: Any, ops: Sequence[Any]) -> tuple[list[GraphNode], list[Edge], dict[int, int]]:
    """Make the nodes and edges, and a table from a Tensor or array (by identity) to its node's index."""
    nodes: list[GraphNode] = []
    edges: list[Edge] = []
    numbers: dict[int, int] = {}
    files = Sources()
    if not ops:
        nodes.append(_leaf(0, loss, loss.data))
    for vertex in ops:
        into: list[Edge] = []
        variable, names = files.names(vertex.node)
        for position, slot, path, arg in arguments(vertex.node):
            if id(arg) not in numbers:
                numbers[id(arg)] = len(nodes)
                nodes.append(_leaf(len(nodes), arg, _recorded_value(vertex.node, position, arg)))
            source = nodes[numbers[id(arg)]]
            if source.variable is None and slot == f"arg {position + 1}":
                source.variable = names.get(position)
            into.append(Edge(source.index, -1, slot, position, source.shape, path))
        number = numbers[id(vertex)] = len(nodes)
        for edge in into:  # which comes after the leaves that were found on the way
            edge.target = number
        edges += into
        nodes.append(_computed(number, vertex, vertex is loss, nodes, into))
        nodes[number].variable = variable
    return nodes, edges, numbers


def _recorded_value(node: Node, position: int, arg: Any) -> Any:
    """Return the array that a leaf held when the call was made."""
    if position < len(node.args) and node.args[position] is arg:
        return node.arrays[position]
    return arg.data if isinstance(arg, Recorded) else arg


def _name(tensor: Any) -> str | None:
    return None if tensor.name is None else str(tensor.name)


def _leaf(index: int, arg: Any, value: Any) -> GraphNode:
    if not isinstance(arg, Recorded):
        return GraphNode(index, "input", None, value)
    role: Role = "parameter" if arg.node is LEAF else "input"
    held = None if arg.grad is None else arg.grad.data
    return GraphNode(index, role, _name(arg), value, held=held, outdated=arg.data is not value, cut=arg.cut)


def _computed(
    index: int,
    vertex: Any,
    is_loss: bool,
    nodes: Sequence[GraphNode],
    into: Sequence[Edge],
) -> GraphNode:
    node = vertex.node
    return GraphNode(
        index,
        "loss" if is_loss else "op",
        _name(vertex),
        vertex.data,
        op=node.name.lstrip("_"),
        call=_call_text(node, {edge.slot: nodes[edge.source].label for edge in into}),
        scope=node.scope,
        source=node.source(),
        record=node,
    )


def _call_text(node: Node, names: dict[str, str | None]) -> str:
    """Write the call with the names of its arguments, a dot for one without a name."""

    def written(slot: str, arg: Any) -> str:
        places = (slot_at(slot, path) for path, _ in paths(arg))

        def leaf_text(leaf: Any) -> str:
            place = next(places)
            if place not in names:
                return spelled(leaf)
            return "·" if names[place] is None else names[place] or "''"

        if slot in names or any(key.startswith(slot + "[") for key in names):
            return spelled_tree(arg, leaf_text, lambda kind: str(kind.__name__))
        return spelled(arg)

    parts = [written(f"arg {i + 1}", arg) for i, arg in enumerate(node.args)]
    if node.fn is GETITEM:
        inside = parts[1][1:-1] if isinstance(node.args[1], tuple) else parts[1]
        return f"{parts[0]}[{inside}]"
    while len(parts) > 1 and parts[-1] == "None":
        parts.pop()
    parts += [f"{key}={written(f'{key}=', value)}" for key, value in node.kwargs.items()]
    return f"{node.name.lstrip('_')}({', '.join(parts)})"


def _found(
    loss: Any, ops: Sequence[Any], nodes: Sequence[GraphNode], wish: Wish
) -> tuple[list[tuple[Any, Any]], str]:
    """Run the backward pass if gradients are wished for: pairs of Tensor and gradient, or a note why not."""
    if wish is False:
        return [], "gradients: not asked for"
    if wish == "auto" and not any(node.held is not None for node in nodes):
        return [], "gradients: not computed (call backward() first, or draw with gradients=True)"
    if loss.node is None:
        return [], "gradients: not computed (nothing here requires a gradient)"
    if np.shape(loss.data) != ():
        return [], f"gradients: not computed (this is not a scalar: its shape is {shape_text(loss.shape)})"
    try:
        return _every_gradient(loss, ops), ""
    except Exception as error:
        return [], f"gradients: not computed ({type(error).__name__}: {error})"


def _every_gradient(loss: Any, ops: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Run the real backward pass, keeping every gradient on the way, and leave all Tensors as they were."""
    before = [(vertex, vertex.keeps_grad, vertex.hooks) for vertex in _with_leaves(loss, ops)]
    try:
        for vertex, _, _ in before:
            vertex.keeps_grad, vertex.hooks = True, ()
        with np.errstate(all="ignore"):
            return pull([(loss, np.ones_like(loss.data)[()])])
    finally:
        for vertex, keeps_grad, hooks in before:
            vertex.keeps_grad, vertex.hooks = keeps_grad, hooks


def _with_leaves(loss: Any, ops: Sequence[Any]) -> list[Any]:
    every = {id(vertex): vertex for vertex in (loss, *ops)}
    for vertex in ops:
        every.update((id(arg), arg) for *_, arg in arguments(vertex.node) if isinstance(arg, Recorded))
    return list(every.values())


def _number_backward(
    ops: Sequence[Any], nodes: Sequence[GraphNode], edges: Sequence[Edge], numbers: dict[int, int]
) -> None:
    """Number the edges in the order in which the backward pass takes them: latest call first."""
    into: dict[int, list[Edge]] = {}
    for edge in edges:
        into.setdefault(edge.target, []).append(edge)
    reached = {numbers[id(ops[-1])]} if ops else set()
    step = 0
    for vertex in reversed(ops):
        number = numbers[id(vertex)]
        if number not in reached:
            continue
        vjps = vertex.node.rule.vjps_of(vertex.node.args)
        for edge in into[number]:
            source = nodes[edge.source]
            if edge.position < len(vjps) and vjps[edge.position] is not None and _takes_gradient(source):
                step += 1
                edge.order = step
                edge.unbroadcast = _unbroadcast_text(vertex.node, nodes[number].shape, edge.shape)
                reached.add(edge.source)


def _takes_gradient(node: GraphNode) -> bool:
    return node.role != "input"


def _unbroadcast_text(node: Node, result: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Say over which axes a gradient is summed to get back the shape that broadcasting stretched."""
    if node.fn is np.matmul and len(shape) > 1 and len(result) > 1:
        result = result[:-2] + shape[-2:]  # matmul broadcasts the stack, not the matrices in it
    elif not node.rule.elementwise:
        return ""
    if result == shape or len(result) < len(shape):
        return ""
    added = len(result) - len(shape)
    axes = [*range(added), *(added + i for i, n in enumerate(shape) if n == 1 != result[added + i])]
    which = f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"
    return f"{shape_text(result)} → sum over {which} → {shape_text(shape)}"


def contributions(loss: Any, graph: Graph) -> dict[int, Any]:
    """Return what each call sends back to each of its arguments, by the `order` of the edge it goes along.

    The gradients that arrive at a node on different edges add up to the node's ``gradient``. An edge is
    missing where the rule gave nothing (None), and all are where gradients were not computed.

    >>> import tinygrad_edu as tg
    >>> a = tg.Tensor(3.0, requires_grad=True)
    >>> loss = a * a + a
    >>> sent = contributions(loss, trace_graph(loss, gradients=True))
    >>> {order: float(part) for order, part in sent.items()}
    {1: 1.0, 2: 1.0, 3: 3.0, 4: 3.0}
    """
    sent: dict[int, Any] = {}
    calls = [node for node in graph.nodes if node.record is not None]
    for node, vertex in zip(reversed(calls), reversed(calls_below(loss)), strict=True):
        if node.gradient is None:
            continue
        waiting = [
            (arg, edge)
            for (*_, arg), edge in zip(arguments(vertex.node), graph.into[node.index], strict=True)
            if edge.order is not None
        ]
        with np.errstate(all="ignore"):
            parts = shares(vertex.node, vertex, node.gradient, False)
        for tensor, part in parts:
            place = next(i for i, (arg, _) in enumerate(waiting) if arg is tensor)
            order = waiting.pop(place)[1].order
            assert order is not None
            sent[order] = part
    return sent
