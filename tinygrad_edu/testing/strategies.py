"""Hypothesis strategies: arrays, shapes, axes and indices as awkward as users make them.

Shapes include 0-d and empty ones; memory layouts include transposed, strided and reversed views. Values are
drawn from a domain that keeps away from kinks, since a slope cannot be measured across one.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

try:
    from hypothesis import strategies as st
except ImportError as missing:
    raise ImportError(
        'tinygrad_edu.testing.strategies needs Hypothesis:  pip install "tinygrad-edu[testing]"'
    ) from missing

Shape = tuple[int, ...]
Interval = tuple[float, float]

AWAY_FROM_ZERO: tuple[Interval, ...] = ((-2.0, -0.4), (0.4, 2.0))
LAYOUTS = ("plain", "transposed", "strided", "reversed")
DTYPES = (np.float64, np.float32)


def shapes(
    min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 3
) -> st.SearchStrategy[Shape]:
    """Draw array shapes, small ones; an axis of length zero is rare, so that most arrays hold something.

    >>> len(shapes(min_dims=2, max_dims=2).example())  # doctest: +SKIP
    2
    """
    usual = st.integers(max(min_side, 1), max_side)
    side = st.one_of(usual, usual, usual, usual, st.integers(min_side, max_side))
    return st.lists(side, min_size=min_dims, max_size=max_dims).map(tuple)


@st.composite
def broadcastable(draw: st.DrawFn, count: int = 2, max_dims: int = 3, min_side: int = 0) -> list[Shape]:
    """Draw shapes that broadcast with each other: some shorter, some with axes of length 1."""
    full = draw(shapes(max_dims=max_dims, min_side=min_side))
    found = [full]
    for _ in range(count - 1):
        kept = full[draw(st.integers(0, len(full))) :]
        stretched = draw(st.lists(st.booleans(), min_size=len(kept), max_size=len(kept)))
        found.append(tuple(1 if one else n for n, one in zip(kept, stretched, strict=True)))
    return draw(st.permutations(found))


@st.composite
def arrays(
    draw: st.DrawFn,
    shape: Shape | st.SearchStrategy[Shape] | None = None,
    domain: Interval | Sequence[Interval] = AWAY_FROM_ZERO,
    distinct: bool = False,
    dtype: Any = np.float64,
    layouts: Sequence[str] = LAYOUTS,
) -> Any:
    """Draw an array of floats.

    Args:
        draw: given by Hypothesis.
        shape: a shape, or a strategy for shapes; any small one by default.
        domain: the interval that values are from, or several of them; at least 0.4 away from zero by default.
        distinct: keep every two values at least 0.2 apart, for functions with kinks where values tie.
            The domain is then not looked at; values are also at least 0.1 away from zero.
        dtype: the type of the elements.
        layouts: which memory layouts to choose from.
    """
    if shape is None:
        shape = shapes()
    sides: Shape = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    size = math.prod(sides)
    if distinct:
        spread = 0.3 * (np.arange(size) - size // 2) + 0.15
        values = random.permutation(spread) + random.uniform(-0.03, 0.03, size)
    else:
        intervals = [domain] if isinstance(domain[0], (int, float)) else list(domain)
        low, high = np.array(intervals, float)[random.integers(len(intervals), size=size)].reshape(size, 2).T
        values = random.uniform(low, high)
    return laid_out(values.reshape(sides).astype(dtype), draw(st.sampled_from(layouts)))


def laid_out(a: Any, layout: str) -> Any:
    """Return the same values in another memory layout.

    >>> laid_out(np.ones((2, 3)), "reversed").strides
    (-24, -8)
    """
    if layout == "transposed":
        return np.array(a, order="F")
    if layout == "strided":
        roomy = np.full(tuple(2 * n for n in a.shape), np.nan, a.dtype)
        view = roomy[(..., *(slice(None, None, 2),) * a.ndim)]
        view[...] = a
        return view
    if layout == "reversed":
        backwards = (slice(None, None, -1),) * a.ndim
        return a[backwards].copy()[backwards] if a.ndim else a
    return a


def axes(ndim: int, several: bool = True, none: bool = True) -> st.SearchStrategy[Any]:
    """Draw an axis argument for an array of so many axes: None, a number of either sign, or a tuple."""
    choices: list[st.SearchStrategy[Any]] = [st.none()] if none else []
    if ndim:
        number = st.integers(-ndim, ndim - 1)
        choices.append(number)
        if several:
            choices.append(st.lists(number, unique_by=lambda i: i % ndim, max_size=ndim).map(tuple))
    elif several:
        choices.append(st.just(()))
    return st.one_of(choices)


def masks(shape: Shape) -> st.SearchStrategy[Any]:
    """Draw a boolean array, as for ``where=`` and for indexing."""
    size = math.prod(shape)
    flags = st.lists(st.booleans(), min_size=size, max_size=size)
    return flags.map(lambda bits: np.array(bits, bool).reshape(shape))


@st.composite
def basic_indices(draw: st.DrawFn, shape: Shape) -> Any:
    """Draw an index of integers, slices, ``...`` and None."""
    parts: list[Any] = [
        draw(st.one_of(st.slices(n), st.integers(-n, n - 1) if n else st.slices(n))) for n in shape
    ]
    parts = parts[: draw(st.integers(0, len(parts)))]
    if draw(st.booleans()):
        place = draw(st.integers(0, len(parts)))
        dropped = draw(st.integers(0, len(parts) - place))
        parts[place : place + dropped] = [Ellipsis]
        # what follows the ellipsis counts from the last axis
        after = len(parts) - place - 1
        parts[place + 1 :] = [
            draw(st.integers(-n, n - 1)) if n else slice(None) for n in shape[len(shape) - after :]
        ]
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), None)
    return parts[0] if len(parts) == 1 and draw(st.booleans()) else tuple(parts)


@st.composite
def integer_indices(draw: st.DrawFn, shape: Shape) -> Any:
    """Draw an index of integer arrays (which may repeat places or count from the end) and slices."""
    count = draw(st.integers(1, len(shape)))
    where = draw(st.lists(st.integers(0, len(shape) - 1), min_size=count, max_size=count, unique=True))
    forms = draw(broadcastable(count, max_dims=2))
    parts: list[Any] = [slice(None)] * len(shape)
    for axis, form in zip(where, forms, strict=True):
        n = shape[axis]
        size = math.prod(form)
        if n == 0:
            parts[axis] = slice(None)
            continue
        numbers = draw(st.lists(st.integers(-n, n - 1), min_size=size, max_size=size))
        number = np.array(numbers, int).reshape(form)
        parts[axis] = draw(st.sampled_from([number, number.tolist()])) if number.ndim == 1 else number
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), None)
    return parts[0] if len(parts) == 1 else tuple(parts)


@st.composite
def boolean_indices(draw: st.DrawFn, shape: Shape) -> Any:
    """Draw a mask over some axes beside slices, over all of them, or over none."""
    first = draw(st.integers(0, len(shape)))
    last = draw(st.integers(first, len(shape)))
    return (slice(None),) * first + (draw(masks(shape[first:last])),)


def indices(shape: Shape) -> st.SearchStrategy[Any]:
    """Draw any index of NumPy's: basic, integer arrays, masks, and mixtures."""
    kinds = [basic_indices(shape), boolean_indices(shape)]
    if shape:
        kinds.append(integer_indices(shape))
    return st.one_of(kinds)
