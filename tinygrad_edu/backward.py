"""The chain rule: visit the recorded calls from the last to the first, and add up what reaches each Tensor.

A call is always recorded after the calls that made its arguments. So taking calls in the order of falling
serial numbers makes sure that a Tensor's gradient is complete, every path added, before it is passed on.
"""

import functools
import threading
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from .containers import LEAVES, children, opened
from .recording import LEAF, Node, Recorded, make, tensors_in
from .rules import function_name, unbroadcast
from .state import call_recording, current_state

_replacing = threading.RLock()  # held while a leaf's gradient is replaced; nothing is computed under it


def backward(root: Recorded, gradient: Any = None, create_graph: bool = False) -> None:
    """Add the gradient of `root` to the ``grad`` of every leaf below it. See `Tensor.backward`."""
    trace = current_state().trace
    for vertex, total in pull([(root, _seed(root, gradient, create_graph))], create_graph):
        if not isinstance(total, Recorded):
            if isinstance(total, np.ndarray):
                total.setflags(False)  # type: ignore[call-arg]
            total = make(total)
        if trace is None and vertex._grad is None:  # as for most leaves, and faster
            with _replacing:
                if vertex._grad is None:
                    vertex._grad = total
                    continue
        while True:
            so_far = vertex.grad
            added = total if so_far is None else call_recording(create_graph, np.add, so_far, total)
            with _replacing:  # another thread may have added its own meanwhile: then add to that
                if vertex.grad is so_far:
                    vertex.grad = added
                    break


def pull(
    starts: Sequence[tuple[Recorded, Any]],
    create_graph: bool = False,
    wanted: Sequence[Recorded] = (),
    hooks: bool = True,
) -> list[tuple[Recorded, Any]]:
    """Return pairs of a Tensor and its gradient, from several roots at once, each with its own start.

    A start is the gradient with respect to the root itself. The Tensors are the `wanted` ones that the roots
    depend on, or else every leaf below them and whatever asked with ``retain_grad``. The pass stops at wanted
    Tensors: one below another gets what reaches it on other paths. Gradients are arrays, or Tensors under
    `create_graph`. Nothing is written anywhere: an error on the way leaves every ``grad`` as it was.

    `hooks` is whether hooks of the `wanted` Tensors are called, or left to a pass that goes on from there.
    """
    if create_graph:
        return call_recording(True, _visit, starts, True, wanted, hooks)
    return _visit(starts, False, wanted, hooks)


def _visit(starts: Any, create_graph: bool, wanted: Sequence[Any], hooks: bool) -> list[tuple[Recorded, Any]]:
    kept = {id(vertex) for vertex in wanted} if wanted else ()
    # a call is recorded after those that made its arguments, so what is older than all wanted Tensors is not
    # on a way to them: the pass need not go there
    oldest = min(vertex.node.serial for vertex in wanted) if wanted else 0
    # why by id: a Tensor compares element by element. Each stays alive meanwhile, in the queue or the graph
    totals: dict[int, Any] = {}
    queue: list[tuple[int, Any]] = []
    leaves, found = [], []
    state = current_state()
    trace = state.trace
    run_rule = shares if state.watch is None else functools.partial(state.watch.rule, shares)
    arriving = starts
    while True:
        for vertex, part in arriving:
            key = id(vertex)
            if key in totals:  # another path has led here, and paths add up
                totals[key] = _add(totals[key], part)
            elif vertex.node is LEAF:  # no call to pass a gradient on to; and all leaves share one serial
                totals[key] = part
                leaves.append(vertex)
            elif vertex.node.serial >= oldest:
                totals[key] = part
                heappush(queue, (-vertex.node.serial, vertex))
        if not queue:
            break
        # the youngest of all that wait (no two are of one age: each has a call of its own). Whatever could
        # add to its total is younger, and has been visited: so the total is complete, and each call runs its
        # rule once, however many paths there are
        vertex = heappop(queue)[1]
        total = totals.pop(id(vertex))
        if trace is not None:
            trace.differentiate(vertex, total)
        stops_here = id(vertex) in kept
        if vertex.hooks and (hooks or not stops_here):
            total = _hooked(vertex, total, create_graph)
        if stops_here or (vertex.keeps_grad and not wanted):
            found.append((vertex, total))
        arriving = () if stops_here else run_rule(vertex.node, vertex, total, create_graph)
    for leaf in leaves:
        if not wanted or id(leaf) in kept:
            total = totals[id(leaf)]
            if trace is not None:
                trace.differentiate(leaf, total)
            found.append((leaf, _hooked(leaf, total, create_graph) if leaf.hooks and hooks else total))
    return found


def _hooked(vertex: Recorded, total: Any, create_graph: bool) -> Any:
    """Show a complete gradient to the hooks of its Tensor; what a hook returns takes its place."""
    for hook in vertex.hooks:
        seen = total if create_graph else make(total)
        changed = hook(seen)
        if changed is not None:
            if np.shape(changed) != vertex._data.shape:
                raise ValueError(
                    f"a gradient hook must return a gradient of shape {vertex._data.shape}, "
                    f"and returned one of shape {np.shape(changed)}"
                )
            changed = (
                changed if isinstance(changed, Recorded) else make(np.array(changed, vertex._data.dtype))
            )
            total = changed if create_graph else changed.data
    return total


def shares(node: Node, vertex: Recorded, total: Any, create_graph: bool) -> list[tuple[Any, Any]]:
    """Run a call's gradient rule: list its arguments that need a gradient, each with its share of `total`.

    The rule runs on the arrays that the call was made with, or, so that it is recorded too, on the Tensors.
    """
    rule = node.rule
    if create_graph:
        _refuse_stale(node)
    output = vertex if create_graph else vertex._data
    inputs = node.inputs(create_graph) if create_graph or node.watched else node.arrays
    if type(total) is dict:  # a function with several results: those that nothing depends on have gradient 0
        total = tuple(total[i] if i in total else np.zeros_like(y) for i, y in enumerate(vertex._data))
    kwargs = node.options(create_graph) if rule.saves else node.kwargs
    given = (total, output, *inputs)
    shares: list[tuple[Any, Any]] = []
    vjps = rule.vjps if rule.each is None else rule.vjps_of(node.args)
    for arg, vjp in zip(node.args, vjps):  # noqa: B905 (or fewer)
        if isinstance(arg, Recorded):
            if arg.node is not None and vjp is not None:
                part = vjp(*given, **kwargs) if kwargs else vjp(*given)
                like = arg._data
                if type(part) is not np.ndarray or part.shape != like.shape or part.dtype is not like.dtype:
                    part = _fitted(part, like, node)
                if part is not None:
                    shares.append((arg, part))
        elif vjp is not None and type(arg) not in LEAVES and tensors_in(arg):
            shares += _matched(arg, vjp(*given, **kwargs), node)
    return shares


def _refuse_stale(node: Node) -> None:
    """A gradient of a gradient reads the arguments again: they must still be what the call was made with."""
    for arg, array in zip(node.args, node.arrays, strict=True):
        if isinstance(arg, Recorded) and arg.node is not None and arg.data is not array:
            raise RuntimeError(
                f"{arg.name or 'a leaf'} was assigned new values after {function_name(node.fn)} recorded it; "
                "compute the loss again before backward(create_graph=True)"
            )


def _matched(arg: Any, parts: Any, node: Node) -> Iterator[tuple[Recorded, Any]]:
    """Pair the Tensors in a container among the arguments with the gradients that a rule returned for it."""
    if parts is None:
        return
    items = children(arg)
    if isinstance(arg, Recorded):
        if arg.node is not None:
            yield arg, _fitted(parts, arg._data, node)
    elif items is not None:
        need = f"the rule of {function_name(node.fn)} must return a gradient"
        parts = list(parts) if hasattr(parts, "shape") else parts  # its rows
        for item, part in zip(items, opened(arg, parts, need), strict=True):
            yield from _matched(item, part, node)


def _fitted(part: Any, like: Any, node: Node) -> Any:
    """Give a rule's result the shape and dtype of the argument it is for, undoing broadcasting."""
    if part is None or type(like) is tuple:
        return part
    if not hasattr(part, "shape"):  # a number, or the list that a rule gives for an array taken as a list
        part = np.stack(part) if isinstance(part, list) else np.asarray(part)
    if part.shape != like.shape:
        if not node.rule.undo_broadcast:
            places = [f"its argument number {i}" for i, array in enumerate(node.arrays, 1) if array is like]
            raise ValueError(
                f"the gradient rule of {function_name(node.fn)} gave shape {part.shape} for "
                f"{places[0] if places else 'a list item'} of shape {like.shape}; if the function broadcasts "
                "its arguments element by element, register it with elementwise=True"
            )
        part = unbroadcast(part, like.shape)
    return part if part.dtype == like.dtype else part.astype(like.dtype)


def _add(a: Any, b: Any) -> Any:
    """Add two contributions; those to a function with several results (see `pick`) are put together."""
    if type(a) is not dict:
        return a + b
    for index, part in b.items():  # into `a`, which nobody else has: n results take n steps
        a[index] = a[index] + part if index in a else part
    return a


def _seed(root: Recorded, gradient: Any, create_graph: bool) -> Any:
    """Check the gradient that `backward` starts from, or make the 1 it starts from by default."""
    if root.node is None and root.cut == "jit":
        raise RuntimeError(
            "backward() of what a jitted function returned: it changes Tensors, and cannot be run again for "
            "the gradient; call backward() inside it"
        )
    if root.node is None:
        raise RuntimeError(
            "backward() found nothing to differentiate: this Tensor was not computed from any Tensor "
            "with requires_grad=True (or was computed under no_grad, or detached)"
        )
    shape = root._data.shape
    if gradient is None:
        if shape != ():
            raise ValueError(
                f"backward() starts from a scalar loss, and this Tensor has shape {shape}; "
                "sum or average it first, or pass gradient= of the same shape"
            )
        start = root._data.dtype.type(1) if isinstance(root._data, np.generic) else np.ones_like(root._data)
        return make(start) if create_graph else start
    if not isinstance(gradient, Recorded):
        foreign = hasattr(gradient, "__array_function__") and not isinstance(gradient, np.ndarray)
        gradient = make(gradient if foreign else np.array(gradient))
    if gradient.data.shape != shape:
        raise ValueError(f"gradient= needs the Tensor's own shape {shape}, and got {gradient.data.shape}")
    start = gradient if create_graph else gradient.data
    return start if start.dtype == root._data.dtype else start.astype(root._data.dtype)
