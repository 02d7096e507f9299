"""The chain rule forwards: push tangents through recorded calls, by the rules that pull gradients back.

A rule multiplies the output's gradient by the transposed Jacobian; a tangent wants the Jacobian itself. Where
a call works element by element, the Jacobian is diagonal, and its own transpose. Anywhere else the rule is
transposed by differentiating it: it is linear in the gradient it is given.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .backward import pull, shares
from .containers import tree_map
from .recording import LEAF, Recorded, apply, make, pick, tensors_in
from .rules import is_differentiable
from .state import call_recording

JOINING = (np.stack, np.concatenate)  # linear in all their arrays at once, of which there may be thousands


def push(
    seeds: Sequence[tuple[Recorded, Any]], results: Sequence[Recorded], create_graph: bool = False
) -> list[Any]:
    """Return the tangent of each of `results` when each seed, a pair of a Tensor and its tangent, moves.

    The seeds must be the results of recorded calls (not leaves). Tangents are arrays, or Tensors under
    `create_graph`; None stands for zero, where a result does not depend on any seed.
    """
    known = {id(vertex): tangent for vertex, tangent in seeds}
    oldest = min(vertex.node.serial for vertex, _ in seeds if vertex.node is not None)
    call_recording(True, _push_through, _calls_between(results, known, oldest), known, create_graph)
    return [known.get(id(result)) for result in results]


def _push_through(calls: Sequence[Recorded], known: dict[int, Any], create_graph: bool) -> None:
    """Add the tangents of results of calls, in their order, to those that are known."""
    for vertex in calls:
        tangent = _tangent(vertex, known, create_graph)
        if tangent is not None:
            known[id(vertex)] = tangent


def _calls_between(results: Sequence[Recorded], known: dict[int, Any], oldest: int) -> list[Recorded]:
    """List the Tensors on the way from the seeds to the results, in the order they were computed."""
    found: dict[int, Recorded] = {}
    waiting = list(results)
    while waiting:
        vertex = waiting.pop()
        node = vertex.node
        if node is None or node.serial < oldest or id(vertex) in found or id(vertex) in known:
            continue
        found[id(vertex)] = vertex
        waiting += tensors_in(node.args)
    return sorted(found.values(), key=lambda vertex: vertex.node.serial if vertex.node is not None else 0)


def _tangent(vertex: Recorded, known: dict[int, Any], create_graph: bool) -> Any:
    """Return the tangent of one call's result from those of its arguments."""
    node: Any = vertex.node
    if not any(id(arg) in known for arg in tensors_in(node.args)):
        return None
    if node.fn is pick:
        return known[id(node.args[0])][node.args[1]]
    if node.fn in JOINING:
        return _joined(vertex, known)
    if node.rule.elementwise and type(vertex._data) is not tuple:
        return _along_diagonal(vertex, known, create_graph)
    return _transposed(vertex, known, create_graph)


def _joined(vertex: Recorded, known: dict[int, Any]) -> Any:
    """Join the tangents of arrays as the call joined the arrays.

    Transposing the rule would give the same; but each of n shares would be as large as the result.
    """
    node: Any = vertex.node

    def tangent(leaf: Any) -> Any:
        if id(leaf) in known:
            return known[id(leaf)]
        return np.zeros_like(leaf._data if isinstance(leaf, Recorded) else leaf, vertex._data.dtype)

    arrays, *options = node.args
    return node.fn(tree_map(tangent, arrays), *options, **node.kwargs)


def _along_diagonal(vertex: Recorded, known: dict[int, Any], create_graph: bool) -> Any:
    """Run the rule of an elementwise call on tangents: it multiplies by the derivative, either way."""
    node: Any = vertex.node
    output, inputs = vertex if create_graph else vertex._data, node.inputs(create_graph)
    total = None
    for arg, vjp in zip(node.args, node.rule.vjps_of(node.args), strict=False):
        if id(arg) in known and vjp is not None:
            moved = np.broadcast_to(known[id(arg)], vertex._data.shape)
            part = vjp(moved, output, *inputs, **node.options(create_graph))
            total = part if total is None else total + part
    return total


def _transposed(vertex: Recorded, known: dict[int, Any], create_graph: bool) -> Any:
    """Transpose a call's rule: run it on a gradient that is itself a variable, and differentiate that.

    The rule gives Jᵀg for a gradient g, and a tangent t wants Jt. The rule is linear in g, so the gradient of
    Σ t · (Jᵀg) with respect to g is Jt, whatever g is (Townsend, "A new trick for calculating Jacobian vector
    products", 2017). That is one backward pass through the rule, and no second table.
    """
    node: Any = vertex.node
    several = type(vertex._data) is tuple
    outputs = vertex._data if several else (vertex._data,)
    variables = [_variable(y) for y in outputs]  # the g; all zeros, since its values do not matter
    asked = shares(node, vertex, tuple(variables) if several else variables[0], create_graph)
    # the t, each where the pass starts: at the share of an argument that moves
    moving = [(part, known[id(arg)]) for arg, part in asked if id(arg) in known and _depends(part)]
    # a rule that does not use g (as for a constant function) has no way back to it: its tangent is zero
    wanted = [variable for variable in variables if _depends(variable)]
    found = {id(variable): total for variable, total in pull(moving, create_graph, wanted)}
    tangents = [found.get(id(v), np.zeros_like(y)) for v, y in zip(variables, outputs, strict=True)]
    return tuple(tangents) if several else tangents[0]


def _variable(y: Any) -> Any:
    """Make a variable like a result; integers (such as the exponent of frexp) stay constant."""
    zero = np.zeros_like(y)
    return apply(np.positive, (make(zero, LEAF),)) if is_differentiable(zero.dtype) else make(zero)


def _depends(part: Any) -> bool:
    return isinstance(part, Recorded) and part.node is not None
