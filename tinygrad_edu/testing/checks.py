"""Check a gradient from every side: against the measured slope, once more differentiated, and in float32.

The second order costs no more than the first, by H. A. Schwarz's theorem: the matrix of second derivatives
is symmetric. So differentiating ``sum(c * gradient)`` must give the same as moving the inputs along ``c`` and
measuring how the gradient changes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..containers import leaves, paths, tree_map
from ..rules import function_name, is_differentiable
from ..tensor import Tensor
from ..transforms import jvp
from .numerical import STEP, numerical_jvp, numerical_vjp

Leaf = tuple[str, Any]  # how a message calls an array among the arguments, and the array
FLOAT32_SLACK = 500  # how many units in the last place of the largest term float32 may lose
NOISE = 1e-11  # what rounding may add to a measured slope, as a share of the terms it is the sum of


class Mode(NamedTuple):
    """The results and gradients of one run in reverse mode, and the Tensors it ran on."""

    results: list[Any]
    gradients: list[Any]
    tensors: list[Tensor]
    cotangents: list[Tensor]


def check_gradient(
    f: Callable[..., Any],
    *args: Any,
    argnums: int | Sequence[int] | None = None,
    kwargs: dict[str, Any] | None = None,
    order: int = 2,
    rtol: float = 1e-7,
    step: float = STEP,
    float32: bool = True,
    seed: int = 0,
    vacuous: bool = False,
) -> None:
    """Raise an AssertionError unless the gradients of ``f(*args, **kwargs)`` are right.

    Checked, with a random gradient for the result: recording changes no result; the gradient of each argument
    has its shape and dtype and equals the measured slope; recording the backward pass (``create_graph``)
    changes nothing; the gradient of the gradient, with respect to the arguments and to the result's
    gradient, equals the measured one; forward mode gives the measured tangents; float32 gives the same as
    float64, up to float32's precision.

    Args:
        f: a function of arrays and Tensors; its floating-point results are checked, others are ignored.
        args: its arguments. Arrays of floats, also inside containers, are differentiated; Python's floats
            where there are no arrays.
        argnums: which arguments to differentiate; all by default.
        kwargs: keyword arguments, which are not differentiated.
        order: 1 to leave out the gradient of the gradient.
        rtol: the relative error allowed in float64, on top of the rounding of the terms summed.
        step: for the measured slope, see `numerical_gradient`; `f` must be smooth within 4 steps.
        float32, seed: whether to check float32; a seed for the random gradients.
        vacuous: True to let pass a check that compares nothing, or an argument that nothing depends on.

    Raises:
        AssertionError: names the function, the argument, the element, and the two values.
        ValueError: there is nothing to check: no argument or no result is a float or an array of floats, no
            element is a number, or an argument is ignored.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> check_gradient(np.arctan2, np.array([0.5, 1.0]), 2.0 * np.ones((3, 1)))
    >>> @tg.primitive(lambda g, y, x: g * x)
    ... def double(x):
    ...     return 2 * x
    >>> check_gradient(double, np.array([2.0, 3.0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: double: gradient of argument 0, element (1,): expected -0.831..., got -1.247...
    """
    name = function_name(f)
    args, found = _differentiated(name, args, argnums, vacuous)
    labels = [label for label, _ in found]
    call = _call(f, args, argnums, kwargs or {})
    points = [np.asarray(value, dtype=np.float64) for _, value in found]
    random = np.random.default_rng(seed)
    values = call(*points)
    cotangents = [_random(random, y) for y in values]

    first = _reverse(call, points, cotangents)
    if not vacuous:
        _refuse_nothing(name, labels, f(*args, **(kwargs or {})), values, first)
    _same_results(name, first.results, values, points, np.float64)
    _same_kind(name, labels, first.gradients, points)
    measured = numerical_vjp(call, points, cotangents, step)
    if not (vacuous or any(np.any(np.isfinite(slope)) for slope in measured)):
        raise ValueError(
            f"nothing to check: no slope of {name} is a finite number here; give it other arguments"
        )
    noise = _noise(cotangents, call, points, step)
    _compare(f"{name}: gradient of", labels, first.gradients, measured, rtol, noise)
    if order > 1:
        _check_second(name, labels, call, points, cotangents, first.gradients, rtol, step)
    if float32:
        _check_float32(name, labels, call, points, cotangents)


def _differentiated(
    name: str, args: tuple[Any, ...], argnums: int | Sequence[int] | None, vacuous: bool
) -> tuple[tuple[Any, ...], list[Leaf]]:
    """List the arrays to differentiate; Python floats count as such where there is nothing else."""
    args = args if any(_leaves(args, argnums)) else tuple(tree_map(_as_float, arg) for arg in args)
    found = list(_leaves(args, argnums))
    if vacuous or any(np.size(value) for _, value in found):
        return args, found
    given = ", ".join(_described(arg) for arg in args) or "nothing"
    chosen = "" if argnums is None else f" with argnums={argnums}"
    raise ValueError(
        f"nothing to check: no argument of {name} is a float or an array of floats with elements; it was "
        f"given {given}{chosen}; write 1.0 instead of 1, or x.astype(float)"
    )


def _refuse_nothing(name: str, labels: list[str], result: Any, values: list[Any], mode: Mode) -> None:
    """Refuse a check that compares no number, or the gradient of an argument that nothing depends on."""
    if not any(np.size(y) for y in values):
        raise ValueError(
            f"nothing to check: {name} must return an array of floats with elements, or several in a list, "
            f"tuple, dict or dataclass, and returned {_described(result)}"
        )
    for label, tensor in zip(labels, mode.tensors, strict=True):
        if tensor.grad is None and tensor.size:
            raise ValueError(
                f"nothing to check: no gradient reaches {label} of {name}: no recorded call leads from it to "
                "the result; use it, choose other arguments with argnums=, or see check_constant"
            )


def _described(value: Any) -> str:
    """Say what something is, in a few words."""
    if hasattr(value, "dtype"):
        return f"{value.dtype} of shape {value.shape}"
    return "None" if value is None else f"{type(value).__name__} {value!r:.60}"


def check_constant(f: Callable[..., Any], *args: Any, kwargs: dict[str, Any] | None = None) -> None:
    """Raise an AssertionError if a result of ``f(*args, **kwargs)`` requires a gradient.

    Every array of floats among the arguments is made a Tensor that requires one.

    >>> import numpy as np
    >>> check_constant(np.argmax, np.array([1.0, 3.0, 2.0]))
    """
    tensors = [_leaf(np.asarray(value)) for _, value in _leaves(args, None)]
    result = _rebuilt(args, None, iter(tensors))
    for value in leaves(f(*result, **(kwargs or {}))):
        assert not getattr(value, "requires_grad", False), (
            f"{function_name(f)}: its result requires a gradient"
        )


def _check_second(
    name: str,
    labels: list[str],
    call: Callable[..., list[Any]],
    points: list[Any],
    cotangents: list[Any],
    gradients: list[Any],
    rtol: float,
    step: float,
) -> None:
    """Compare the gradient of ``sum(c * gradient)`` with how the gradient changes along c."""
    second = _reverse(call, points, cotangents, create_graph=True)
    _same_kind(name, labels, second.gradients, points)
    plain = [np.asarray(g.detach()) for g in second.gradients]
    _compare(f"{name}: gradient under create_graph=True of", labels, plain, gradients, 1e-12, 0.0)
    random = np.random.default_rng(1)
    direction = [_random(random, x) for x in points]
    for tensor in (*second.tensors, *second.cotangents):
        tensor.grad = None
    for gradient, c in zip(second.gradients, direction, strict=True):
        if gradient.requires_grad:
            gradient.backward(c)

    def gradient_at(*xs: Any) -> list[Any]:
        return _reverse(call, list(xs), cotangents).gradients

    changes = numerical_jvp(gradient_at, points, direction, step)
    inherited = 1e-2 * _noise(cotangents, call, points, step)  # gradients may be differences of larger terms
    noise = _noise(direction, gradient_at, points, step) + inherited
    _compare(f"{name}: second-order gradient of", labels, _grads(second.tensors), changes, rtol, noise)
    slopes = numerical_jvp(call, points, direction, step)
    results = [f"the result's gradient ({i})" for i in range(len(slopes))]
    noise = _noise(cotangents, call, points, step) + NOISE * _size(direction, direction)
    _compare(f"{name}: second-order gradient of", results, _grads(second.cotangents), slopes, rtol, noise)
    tangents = jvp(call, points, direction)[1] if points else slopes
    results = [f"result {i}" for i in range(len(slopes))]
    _compare(f"{name}: tangent (forward mode) of", results, tangents, slopes, rtol, noise)


def _check_float32(
    name: str, labels: list[str], call: Callable[..., list[Any]], points: list[Any], cotangents: list[Any]
) -> None:
    """Compare the gradient in float32 with that in float64 at the very same (rounded) point."""
    rounded = [x.astype(np.float32) for x in points]
    mode = _reverse(call, rounded, cotangents)
    single = mode.gradients
    _same_results(f"{name} in float32", mode.results, call(*rounded), rounded, np.float32)
    _same_kind(f"{name} in float32", labels, single, rounded)
    exact_points = [x.astype(np.float64) for x in rounded]
    exact = _reverse(call, exact_points, cotangents).gradients
    terms = _size(cotangents, call(*exact_points)) + max(
        (np.max(np.abs(g), initial=0) for g in exact), default=0
    )
    slack = FLOAT32_SLACK * float(np.finfo(np.float32).eps)
    _compare(f"{name}: gradient in float32 of", labels, single, exact, slack, slack * terms)


def _reverse(
    call: Callable[..., list[Any]], points: list[Any], cotangents: list[Any], create_graph: bool = False
) -> Mode:
    """Run reverse mode: as arrays, or as Tensors under `create_graph`."""
    tensors = [_leaf(x) for x in points]
    outputs = call(*tensors)
    starts = [
        Tensor(np.asarray(g, y.dtype), requires_grad=create_graph)
        for g, y in zip(cotangents, outputs, strict=True)
    ]
    for output, start in zip(outputs, starts, strict=True):
        if isinstance(output, Tensor) and output.requires_grad:
            output.backward(start, create_graph=create_graph)
    gradients: list[Any] = _grads(tensors)
    if create_graph:
        gradients = [
            t.grad if isinstance(t.grad, Tensor) else Tensor(g)
            for t, g in zip(tensors, gradients, strict=True)
        ]
    return Mode(outputs, gradients, tensors, starts)


def _leaf(x: Any) -> Tensor:
    """Make a leaf that keeps the memory layout of `x` (Tensor copies what is not locked)."""
    view = np.asarray(x).view()
    view.setflags(write=False)
    return Tensor(view, requires_grad=True)


def _grads(tensors: list[Tensor]) -> list[Any]:
    """Return the gradients that reached some leaves as arrays, zeros where none did."""
    found = [np.zeros_like(t.data) if t.grad is None else t.grad for t in tensors]
    return [np.asarray(g.detach() if isinstance(g, Tensor) else g) for g in found]


def _same_results(name: str, got: list[Any], expected: list[Any], points: list[Any], precision: Any) -> None:
    """Check that the results on Tensors are those on arrays, up to rounding of them and of the arguments."""
    assert len(got) == len(expected), f"{name}: {len(got)} results on Tensors, {len(expected)} on arrays"
    for i, (have, want) in enumerate(zip(got, expected, strict=True)):
        for kind in ("shape", "dtype"):
            on_tensors, on_arrays = getattr(have, kind), getattr(want, kind)
            assert on_tensors == on_arrays, f"{name}: {kind} {on_tensors} on Tensors, {on_arrays} on arrays"
        have = np.asarray(have.detach() if isinstance(have, Tensor) else have)
        slack = 100 * max(float(np.finfo(kind).eps) for kind in (want.dtype, precision))
        largest = max(np.fmax.reduce(np.abs(x), axis=None, initial=0) for x in (want, *points))
        _compare(f"{name}: on Tensors,", [f"result {i}"], [have], [want], slack, slack * float(largest))


def _same_kind(name: str, labels: list[str], gradients: list[Any], points: list[Any]) -> None:
    """Check that each gradient has the shape and dtype of what it is the gradient of."""
    for label, g, x in zip(labels, gradients, points, strict=True):
        assert g.shape == x.shape, f"{name}: gradient of {label} has shape {g.shape}, expected {x.shape}"
        assert g.dtype == x.dtype, f"{name}: gradient of {label} is {g.dtype}, expected {x.dtype}"


def _compare(
    title: str, labels: list[str], got: list[Any], expected: list[Any], rtol: float, noise: float
) -> None:
    """Check element by element, and name the worst."""
    for label, have, want in zip(labels, got, expected, strict=True):
        have, want = np.asarray(have, float), np.asarray(want, float)
        largest = np.fmax.reduce(np.abs(want), axis=None, initial=0)
        allowed = rtol * np.abs(want) + noise + 1e-4 * rtol * largest
        excess = np.where(np.isfinite(have), np.abs(have - want) - allowed, np.inf)
        excess = np.where(np.isnan(have) & np.isnan(want), 0, excess)
        if np.any(~(excess <= 0)):
            worst = np.unravel_index(np.argmax(excess), excess.shape)
            raise AssertionError(
                f"{title} {label}, element {tuple(int(i) for i in worst)}: "
                f"expected {float(want[worst]):.12g}, got {float(have[worst]):.12g}; "
                f"{int(np.sum(~(excess <= 0)))} of {have.size} elements differ by more than rtol={rtol:.1g}"
            )


def _size(weights: list[Any], values: list[Any]) -> float:
    """Return the size of the terms of ``sum(weights * values)``, which rounding errors are a share of."""
    return float(sum(np.sum(np.abs(w * np.asarray(v, float))) for w, v in zip(weights, values, strict=True)))


def _noise(weights: list[Any], f: Callable[..., list[Any]], points: list[Any], step: float) -> float:
    """Return how far rounding may put off the slopes of ``sum(weights * f(*points))``, as measured."""
    nearby = [x + 4 * step * np.fmax(1, np.abs(x)) for x in points]
    return NOISE * (_size(weights, f(*points)) + _size(weights, f(*nearby)))


def _random(random: np.random.Generator, like: Any) -> Any:
    return np.asarray(random.uniform(0.2, 1, np.shape(like)) * random.choice([-1, 1], np.shape(like)))


def _call(
    f: Callable[..., Any], args: tuple[Any, ...], argnums: Any, kwargs: dict[str, Any]
) -> Callable[..., list[Any]]:
    """Return `f` as a function of its differentiated arrays only, with a flat list of its float results."""

    def call(*points: Any) -> list[Any]:
        results = leaves(f(*_rebuilt(args, argnums, iter(points)), **kwargs))
        return [y for y in results if hasattr(y, "dtype") and is_differentiable(y.dtype)]

    return call


def _chosen(position: int, argnums: int | Sequence[int] | None) -> bool:
    return argnums is None or position in ((argnums,) if isinstance(argnums, (int, np.integer)) else argnums)


def _leaves(args: tuple[Any, ...], argnums: int | Sequence[int] | None) -> Iterator[Leaf]:
    """List the arrays of floats among the chosen arguments."""
    for position, arg in enumerate(args):
        for path, value in paths(arg) if _chosen(position, argnums) else ():
            if _is_leaf(value):
                label = f"argument {position}" + "".join(f"[{key!r}]" for key in path)
                yield label, value.data if isinstance(value, Tensor) else value


def _as_float(value: Any) -> Any:
    return np.float64(value) if isinstance(value, float) else value


def _is_leaf(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic, Tensor)) and is_differentiable(value.dtype)


def _rebuilt(args: tuple[Any, ...], argnums: Any, points: Iterator[Any]) -> list[Any]:
    """Return the arguments with new arrays in place of those differentiated."""

    def replaced(value: Any) -> Any:
        return next(points) if _is_leaf(value) else value

    return [tree_map(replaced, arg) if _chosen(i, argnums) else arg for i, arg in enumerate(args)]
