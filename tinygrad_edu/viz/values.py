"""What a picture says about an array: its mean and spread, its norm in a word, and a small heatmap.

Arrays of other libraries (Dask, CuPy) may be lazy or far away, so their values are not asked for.
"""

from typing import Any, NamedTuple

import numpy as np

from .words import number

CELLS = 8  # a heatmap is at most this many cells high and wide
VANISHING, EXPLODING = 1e-6, 1e3  # norms below and above which a gradient gets a word of warning


class Health(NamedTuple):
    """How a gradient is doing: its norm, one word for it, and the word's colour."""

    norm: float
    word: str
    color: str


def readable(value: Any) -> bool:
    """Tell whether an array's numbers can be read here and now."""
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fiub"


def floats(value: Any) -> Any:
    """Return the numbers as float64, so that sums of squares neither wrap around nor overflow early."""
    return np.asarray(value, np.float64)


def summary(value: Any) -> str:
    """Write a scalar's value, or an array's mean (μ) and spread (σ, the standard deviation).

    >>> summary(np.float64(2.5)), summary(np.array([1.0, 3.0])), summary(np.array([]))
    ('2.5', 'μ 2  σ 1', 'empty')
    """
    if not readable(value):
        return "values not read"
    if value.size == 0:
        return "empty"
    if value.ndim == 0:
        return number(value.item())
    with np.errstate(all="ignore"):
        numbers = floats(value)
        return f"μ {_brief(numbers.mean())}  σ {_brief(numbers.std())}"


def _brief(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 1000 else f"{value:.3g}"


def range_of(value: Any) -> str:
    """Write the smallest and largest value, and how many are zero or not finite."""
    if not readable(value) or value.size == 0:
        return ""
    parts = [f"min {number(value.min())}  max {number(value.max())}"]
    zeros, broken = int(np.sum(value == 0)), int(np.sum(~np.isfinite(value)))
    if zeros:
        parts.append(f"{zeros} of {value.size} zero")
    if broken:
        parts.append(f"{broken} of {value.size} NaN or ∞")
    return ", ".join(parts)


def health(gradient: Any) -> Health:
    """Judge a gradient by its norm (the root of the sum of squares).

    dead: exactly zero. vanishing: below 1e-6. exploding: above 1e3. NaN: not a number, or infinite.

    >>> [health(np.array([x, 0.0])).word for x in (0.0, 1e-9, 2.0, 1e5, np.nan)]
    ['dead', 'vanishing', 'ok', 'exploding', 'NaN']
    """
    if not readable(gradient):
        return Health(np.nan, "not read", "#616161")
    with np.errstate(all="ignore"):
        numbers = floats(gradient)
        largest = np.max(np.abs(numbers), initial=0.0)
        scale = largest if np.isfinite(largest) and largest > 0 else 1.0
        norm = float(scale * np.sqrt(np.sum(np.square(numbers / scale))))
    if not np.isfinite(norm):
        return Health(norm, "NaN", "#8e24aa")
    if norm == 0:
        return Health(norm, "dead", "#616161")
    if norm < VANISHING:
        return Health(norm, "vanishing", "#1565c0")
    if norm > EXPLODING:
        return Health(norm, "exploding", "#d84315")
    return Health(norm, "ok", "#2e7d32")


def heatmap(value: Any) -> list[list[str]]:
    """Return rows of colours: red above zero, blue below, white at zero, purple where a number is not finite.

    A large array is cut into blocks, and a cell shows the mean of its block. The scale is symmetric: the
    strongest colour is the cell furthest from zero.

    >>> heatmap(np.array([1.0, 0.0, -1.0]))
    [['#ff0000', '#ffffff', '#0000ff']]
    """
    if not readable(value) or value.size == 0:
        return []
    with np.errstate(all="ignore"):
        table = floats(value).reshape(-1, value.shape[-1]) if value.ndim else floats(value).reshape(1, 1)
        table = _blocks(_blocks(table).T).T
        finite = np.abs(table[np.isfinite(table)])
        furthest = finite.max(initial=0.0) or 1.0
        return [[_color(cell / furthest) for cell in row] for row in table.tolist()]


def _blocks(table: Any) -> Any:
    """Average rows together until there are at most `CELLS` of them."""
    n = len(table)
    if n <= CELLS:
        return table
    starts = np.arange(CELLS) * n // CELLS
    return np.add.reduceat(table, starts) / np.diff([*starts, n])[:, None]


def _color(x: float) -> str:
    if not np.isfinite(x):
        return "#8e24aa"
    fade = round(255 * (1 - min(abs(x), 1.0)))
    return f"#ff{fade:02x}{fade:02x}" if x >= 0 else f"#{fade:02x}{fade:02x}ff"
