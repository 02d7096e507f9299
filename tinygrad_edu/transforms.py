"""Functions of functions: grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp, checkpoint.

They take functions of arrays and give functions of arrays, as in JAX, and are thin over the same recorded
calls as `Tensor.backward`. Inside one another they pass Tensors, so that they compose to any order. An
argument may be a list, tuple or dict of arrays; its gradient then has the same structure. Where a function
also uses Tensors from outside that need gradients (parameters in a closure), the results are Tensors that
stay connected to them; under `no_grad` they are arrays.
"""

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, ParamSpec, TypeVar, overload

import numpy as np

from .backward import pull
from .containers import leaves, matched, paths, rebuild, tree_map
from .forward import push
from .keeping import kept_leaf
from .recording import Node, apply, make, needs_gradient, next_serial, pick, tensors_in
from .rules import CONSTANT, Rule, is_differentiable
from .state import call_recording, call_transforming, current_trace, inside_transform, is_recording
from .tensor import Tensor

# what a transform returns takes arrays where `f` is given Tensors, so that it does not have f's types
Function = Callable[..., Any]
ArgNums = int | Sequence[int]
P = ParamSpec("P")
R = TypeVar("R")

# One recorded run of a function, from which gradients are pulled and through which tangents are pushed


class _Run:
    """A function run once on variables of its own: fresh Tensors in place of the arguments asked for."""

    def __init__(self, f: Function, args: Sequence[Any], kwargs: dict[str, Any], argnums: ArgNums):
        self.single = not isinstance(argnums, (list, tuple, range))
        numbers: list[Any] = list(argnums) if isinstance(argnums, (list, tuple, range)) else [argnums]
        if not all(isinstance(n, (int, np.integer)) for n in numbers):
            raise TypeError(f"argnums counts positional arguments from 0: an int or several, not {argnums!r}")
        wrong = [n for n in numbers if not -len(args) <= n < len(args)]
        if wrong or not numbers:
            raise ValueError(f"argnums={argnums!r} should name some of the {len(args)} positional arguments")
        numbers = [n % len(args) for n in numbers]
        given, self.output, now = call_transforming(_run_on_variables, f, args, kwargs, numbers)
        self.variables = given[numbers[0]] if self.single else tuple(given[n] for n in numbers)
        if self.output is None:
            raise TypeError(f"{getattr(f, '__name__', 'the function')} returned None; does it lack a return?")
        self.connected = is_recording() and (
            inside_transform() or needs_gradient([args, kwargs]) or self._uses_others(now)
        )

    def _uses_others(self, now: int) -> bool:
        """Tell whether the output depends on Tensors from outside, such as parameters in a closure."""
        own = {id(variable) for variable in leaves(self.variables)}
        outputs = [y for y in leaves(self.output) if isinstance(y, Tensor)]
        return any(id(vertex) not in own for vertex in _made_before(now, outputs))

    def joined(self, *values: Any) -> "_Run":
        """Return this run, connected to the Tensors among gradients or tangents that it is given."""
        joined = copy.copy(self)
        joined.connected = self.connected or (
            is_recording() and (inside_transform() or needs_gradient(values))
        )
        return joined

    def result(self, value: Any) -> Any:
        """Give a value to the caller: a Tensor inside another transform, else an array of its own."""
        if not isinstance(value, (Tensor, np.ndarray, np.generic)):
            return value
        if self.connected:
            return value if isinstance(value, Tensor) else Tensor(value)
        value = value.data if isinstance(value, Tensor) else value
        return np.array(value) if isinstance(value, np.ndarray) else value

    def pull(self, starts: Sequence[tuple[Any, Any]]) -> Any:
        """Return the gradients of the variables, in their structure."""
        wanted = leaves(self.variables)
        starts = [
            (root, start) for root, start in starts if isinstance(root, Tensor) and root.node is not None
        ]
        found = {id(variable): total for variable, total in pull(starts, self.connected, wanted)}
        return tree_map(
            lambda v: self.result(found[id(v)] if id(v) in found else np.zeros_like(v._data)), self.variables
        )

    def push(self, tangents: Sequence[Any]) -> Any:
        """Return the tangents of the output, in its structure."""
        seeds = list(zip(leaves(self.variables), tangents, strict=True))
        outputs = leaves(self.output)
        roots = [output for output in outputs if isinstance(output, Tensor)]
        found = dict(zip(map(id, roots), push(seeds, roots, self.connected), strict=True))
        zero_or = [_zero(y) if found.get(id(y)) is None else found[id(y)] for y in outputs]
        return rebuild(self.output, map(self.result, zero_or))


def _run_on_variables(f: Function, args: Sequence[Any], kwargs: Any, numbers: Sequence[int]) -> Any:
    """Call a function with variables for some of its arguments; return them, its result, a serial between."""
    given = list(args)
    for n in numbers:
        _check_floats(args[n], n)
        given[n] = tree_map(_variable, args[n])
    now = next_serial()
    return given, f(*given, **kwargs), now


def _check_floats(arg: Any, n: int) -> None:
    """Refuse what has no derivative among the leaves of an argument, and say where it is."""
    for path, leaf in paths(arg):
        if hasattr(leaf, "__array_function__") and not hasattr(leaf, "dtype"):
            continue  # a number under capture, which `Tensor` looks at
        if not is_differentiable(leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype):
            place = f"argument {n}" + "".join(f"[{key!r}]" for key in path)
            raise TypeError(
                f"{place} is {leaf!r:.40}, and derivatives are for floating-point numbers; write floats (1.0 "
                "instead of 1), or give what is no float by another argument or a variable around f"
            )


def _zero(y: Any) -> Any:
    return np.zeros(np.shape(y), getattr(y, "dtype", float))


def _variable(x: Any) -> Tensor:
    """Make a fresh variable with the value of `x`, connected to `x` where another transform follows it."""
    if isinstance(x, Tensor) and x.node is not None:
        connected: Tensor = apply(np.positive, (x,))
        return connected
    variable = Tensor(x.data if isinstance(x, Tensor) else x, requires_grad=True)
    variable.node = Node(_variable, CONSTANT)  # of its own age, which tells it from Tensors from outside
    return variable


def _scalar(loss: Any, f: Function) -> Any:
    if not hasattr(loss, "dtype") and not isinstance(loss, (int, float)):
        raise TypeError(
            f"grad needs a function with one scalar result, and {getattr(f, '__name__', 'it')} returned a "
            f"{type(loss).__name__}; return the scalar alone, or first of a pair with has_aux=True"
        )
    if np.shape(loss) != ():
        raise ValueError(
            f"grad needs a function with one scalar result, and {getattr(f, '__name__', 'it')} returned "
            f"shape {np.shape(loss)}; sum or average it, or use jacobian or elementwise_grad"
        )
    return loss


def _pair(output: Any, f: Function) -> Any:
    if not (isinstance(output, (tuple, list)) and len(output) == 2):
        raise TypeError(
            f"has_aux=True needs a function that returns a pair, what to differentiate and the rest, and "
            f"{getattr(f, '__name__', 'it')} returned a {type(output).__name__}"
        )
    return output


# First order


def value_and_grad(
    f: Function, argnums: ArgNums = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """Return a function that gives the value of `f` and its gradient.

    Args:
        f: a function with a scalar result.
        argnums: which positional argument to differentiate by, or several of them (a tuple of gradients).
        has_aux: `f` returns a pair of the scalar and something else, which is handed through:
            ``(value, aux), gradient``.

    Raises:
        ValueError: the result of `f` is no scalar, or `argnums` names no argument.
        TypeError: `f` returns nothing.

    >>> import numpy as np
    >>> value, slope = value_and_grad(lambda x: np.sum(x ** 2))(np.array([1.0, 2.0]))
    >>> print(value, slope)
    5.0 [2. 4.]
    """

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        recorded = _Run(f, args, kwargs, argnums)
        loss, aux = _pair(recorded.output, f) if has_aux else (recorded.output, None)
        start = Tensor(np.ones((), getattr(loss, "dtype", float)))
        gradient = recorded.pull([(_scalar(loss, f), start if recorded.connected else start._data)])
        value = recorded.result(loss)
        return ((value, tree_map(recorded.result, aux)) if has_aux else value), gradient

    return run


@overload
def grad(f: Function, argnums: ArgNums = 0, *, has_aux: Literal[True]) -> Callable[..., tuple[Any, Any]]: ...
@overload
def grad(f: Function, argnums: ArgNums = 0, has_aux: bool = False) -> Function: ...
def grad(f: Function, argnums: ArgNums = 0, has_aux: bool = False) -> Function:
    """Return the gradient function of `f`, as `value_and_grad` without the value.

    With `has_aux` it gives ``gradient, aux``.

    >>> import numpy as np
    >>> print(grad(np.sin)(0.0), grad(grad(np.sin))(0.0), grad(grad(grad(np.sin)))(0.0))
    1.0 -0.0 -1.0
    """
    both = value_and_grad(f, argnums, has_aux)

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return run


def elementwise_grad(f: Function, argnums: ArgNums = 0) -> Function:
    """Return the derivative of a function that works element by element, at every element at once.

    For any other function it is the gradient of the sum of the result.

    >>> import numpy as np
    >>> print(elementwise_grad(np.square)(np.array([1.0, 2.0, 3.0])))
    [2. 4. 6.]
    """
    return grad(lambda *args, **kwargs: np.sum(f(*args, **kwargs)), argnums)


@overload
def vjp(f: Function, *xs: Any, has_aux: Literal[True]) -> tuple[Any, Function, Any]: ...
@overload
def vjp(f: Function, *xs: Any, has_aux: Literal[False] = False) -> tuple[Any, Function]: ...
def vjp(f: Function, *xs: Any, has_aux: bool = False) -> Any:
    """Return ``f(*xs)`` and a function that pulls a gradient of it back to a tuple of gradients of `xs`.

    (The vector-Jacobian product.) The pullback may be called many times. With `has_aux`, `f` returns a pair,
    and the result is ``y, pullback, aux``.

    Raises:
        TypeError: `f` returns nothing.
        ValueError: there are no `xs`; or, by the pullback, its gradient does not fit `y`.

    >>> import numpy as np
    >>> y, pullback = vjp(lambda a, b: a * b, np.array([1.0, 2.0]), 3.0)
    >>> pullback(np.array([1.0, 10.0]))
    (array([ 3., 30.]), np.float64(21.0))
    """
    recorded = _Run(f, xs, {}, tuple(range(len(xs))))
    output, aux = _pair(recorded.output, f) if has_aux else (recorded.output, None)

    def pullback(cotangent: Any) -> Any:
        outputs, given = leaves(output), matched(output, cotangent, "the pullback needs a gradient")
        run = recorded.joined(*given)
        starts = [_like(g, y, run.connected) for g, y in zip(given, outputs, strict=True)]
        return run.pull(list(zip(outputs, starts, strict=True)))

    y = tree_map(recorded.result, output)
    return (y, pullback, tree_map(recorded.result, aux)) if has_aux else (y, pullback)


def jvp(f: Function, xs: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Return ``f(*xs)`` and how it changes when each of `xs` moves along its tangent: forward mode.

    (The Jacobian-vector product.)

    Raises:
        TypeError: `f` returns nothing.
        ValueError: there are no `xs`, or the tangents do not fit them.

    >>> import numpy as np
    >>> y, slope = jvp(np.sin, (0.0,), (2.0,))
    >>> print(y, slope)
    0.0 2.0
    """
    if not (isinstance(xs, (list, tuple)) and isinstance(tangents, (list, tuple))):
        raise TypeError("jvp takes arguments and tangents as tuples, also one of each: jvp(f, (x,), (v,))")
    xs, tangents = tuple(xs), tuple(tangents)
    given = matched(xs, tangents, "jvp needs a tangent")
    recorded = _Run(f, xs, {}, tuple(range(len(xs)))).joined(*given)
    variables = leaves(recorded.variables)
    moves = [_like(t, x, recorded.connected) for t, x in zip(given, variables, strict=True)]
    return tree_map(recorded.result, recorded.output), recorded.push(moves)


def _like(value: Any, x: Any, as_tensor: bool) -> Any:
    """Give a gradient or tangent the dtype of what it belongs to, as a Tensor or an array."""
    if as_tensor:
        value = value if isinstance(value, Tensor) else Tensor(value)
        return value if value.dtype == x.dtype else value.astype(x.dtype)
    value = value.data if isinstance(value, Tensor) else value
    value = value if hasattr(value, "__array_function__") else np.asarray(value)
    dtype = getattr(x, "dtype", value.dtype)
    return value if value.dtype == dtype else value.astype(dtype)


# Jacobians and second order


def jacobian(f: Function, argnums: ArgNums = 0) -> Function:
    """Return the function that gives all first derivatives of `f`, in shape ``y.shape + x.shape``.

    Row by row, in reverse mode. Where `f` returns or takes containers, it is a container of containers.

    Raises:
        TypeError: `f` returns nothing.
        ValueError: `argnums` names no argument.

    >>> import numpy as np
    >>> print(jacobian(lambda x: np.array([2.0, 3.0]) * x)(np.array([1.0, 1.0])))
    [[2. 0.]
     [0. 3.]]
    """

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        recorded = _Run(f, args, kwargs, argnums)

        def rows(y: Any) -> Any:
            y = y if isinstance(y, Tensor) else Tensor(y)
            starts = (Tensor(e) if recorded.connected else e for e in _basis(y._data))
            pulled = [leaves(recorded.pull([(y, start)])) for start in starts]
            blocks = [
                _block([row[i] for row in pulled], 0, y.shape + x.shape)
                for i, x in enumerate(leaves(recorded.variables))
            ]
            return rebuild(recorded.variables, iter(blocks))

        return tree_map(rows, recorded.output)

    return run


def hessian(f: Function, argnums: ArgNums = 0) -> Function:
    """Return the function that gives all second derivatives of a scalar `f`, in shape ``x.shape + x.shape``.

    Column by column: forward mode over the reverse mode of `grad`.

    Raises:
        TypeError, ValueError: as in `value_and_grad`.

    >>> import numpy as np
    >>> print(hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 2.0])))
    [[4. 2.]
     [2. 0.]]
    """

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        recorded = _Run(grad(f, argnums), args, kwargs, argnums)
        variables = leaves(recorded.variables)
        outputs = leaves(recorded.output)
        blocks: list[list[Any]] = [[] for _ in outputs]
        for moving, x in enumerate(variables):
            pushed = []
            for e in _basis(x._data):
                tangents = [e if i == moving else np.zeros_like(v._data) for i, v in enumerate(variables)]
                pushed.append(
                    leaves(recorded.push(list(map(Tensor, tangents)) if recorded.connected else tangents))
                )
            for i, y in enumerate(outputs):
                blocks[i].append(_block([column[i] for column in pushed], -1, np.shape(y) + x.shape))
        return rebuild(recorded.output, iter([rebuild(recorded.variables, iter(row)) for row in blocks]))

    return run


def hvp(f: Function, x: Any, v: Any) -> Any:
    """Return the Hessian of a scalar `f` at `x` times `v`, without building the Hessian (Pearlmutter 1994).

    >>> import numpy as np
    >>> print(hvp(lambda x: np.sum(x ** 3), np.array([1.0, 2.0]), np.array([1.0, 0.0])))
    [6. 0.]
    """
    return jvp(grad(f), (x,), (v,))[1]


def _block(parts: list[Any], axis: int, shape: tuple[int, ...]) -> Any:
    """Join the rows (axis 0) or columns (axis -1) of one block of a Jacobian."""
    return np.reshape(np.stack(parts, axis) if parts else np.zeros(shape), shape)


def _basis(x: Any) -> Iterator[Any]:
    """Yield the arrays of x's shape that have a single one."""
    for i in range(np.size(x)):
        e = np.zeros(np.size(x), x.dtype)
        e[i] = 1
        yield e.reshape(np.shape(x))


# Memory and cutting


def checkpoint(f: Callable[P, R]) -> Callable[P, R]:
    """Return `f` with a recording that forgets what happens inside, and runs it again for the gradient.

    It trades time for memory (Griewank & Walther 2000): between the forward and the backward pass only the
    arguments and results are kept. `f` must give the same results when it runs again: no dropout, no drawing.

    >>> import numpy as np
    >>> layer = checkpoint(lambda x: np.tanh(np.sin(x)))
    >>> print(grad(layer)(0.0))
    1.0
    """

    @functools.wraps(f)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not is_recording():
            return f(*args, **kwargs)
        now = next_serial()
        result = f(*args, **kwargs)
        outputs = [y for y in leaves(result) if isinstance(y, Tensor) and y.node is not None]
        inputs = _made_before(now, outputs)
        if not inputs:
            return result
        args, kwargs = tree_map(kept_leaf, (args, kwargs))  # they may change before the gradient
        again = functools.partial(f, *args, **kwargs)
        whole = make(tuple(y._data for y in outputs), forgetful_node(f, again, inputs))
        kept = {id(y): apply(pick, (whole, i)) for i, y in enumerate(outputs)}
        joined: R = tree_map(lambda y: kept.get(id(y), y), result)
        return joined

    return call


def _made_before(now: int, outputs: Sequence[Any]) -> list[Any]:
    """List what a function used from outside: the nearest Tensors below its outputs, older than it."""
    found: dict[int, Any] = {}
    seen: set[int] = set()
    waiting = list(outputs)
    while waiting:
        vertex = waiting.pop()
        if vertex.node is None or id(vertex) in seen:
            continue
        seen.add(id(vertex))
        if vertex.node.serial < now:
            found[id(vertex)] = vertex
        else:
            waiting += tensors_in(vertex.node.args)
    return list(found.values())


def forgetful_node(f: Function, call: Function, inputs: list[Any], rtol: float = 0.0) -> Node:
    """Make a node for the whole of a call of `f`, whose rule makes the call again.

    Results that differ by more than `rtol` of themselves show that it is no function of its inputs alone.
    """
    arrays = [x.data for x in inputs]
    recorded: Any = call_transforming if inside_transform() else functools.partial(call_recording, True)

    def run_again(g: Any, y: Any, _: Any) -> list[Any]:
        if any(x.data is not array for x, array in zip(inputs, arrays, strict=True)):
            raise RuntimeError(
                "a Tensor used inside checkpoint or jit was assigned new values before its gradient"
            )
        results = leaves(recorded(call))
        outputs = [out for out in results if isinstance(out, Tensor) and out.node is not None]
        before = y.data if isinstance(y, Tensor) else y
        for a, b in zip(outputs, before, strict=True) if current_trace() is None else ():
            if not np.allclose(a.data, b, rtol=rtol, atol=0, equal_nan=True):
                raise RuntimeError("a function under checkpoint or jit gave other results when run again")
        create_graph = any(isinstance(part, Tensor) for part in g)
        starts = list(zip(outputs, g, strict=True))
        found = {id(x): total for x, total in pull(starts, create_graph, inputs, hooks=False)}
        return [found[id(x)] if id(x) in found else np.zeros_like(x._data) for x in inputs]

    return Node(f, Rule((run_again,)), (inputs,), [arrays])


def stop_gradient(x: R) -> R:
    """Return `x` (an array, or a container of them) as a constant through which no gradient flows.

    >>> print(grad(lambda x: x * stop_gradient(x))(3.0))
    3.0
    """
    stopped: R = tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, x)
    return stopped
