"""Arrays on their way into a page: averaged where they are large, packed as text, each stored once.

A page should open at once and be small enough to mail. So a large array is cut into blocks and their means
are stored (the page says so), while its mean, norm and histogram are computed here, from all numbers.
"""

import base64
import hashlib
from typing import Any

import numpy as np

from ..values import floats, health, range_of, readable, summary
from ..words import number, shape_text

FULL = 4096  # numbers of one array that a page stores; of a larger one, this many block means
BUDGET = 400_000  # numbers of all arrays together; beyond it, fewer of each
SMALL = 64  # arrays of up to this many numbers are stored to the last bit
BINS = 24
IMAGES = 10  # images shown of one array
SIDES = (8, 16, 20, 28, 32, 64)  # rows of this many squared numbers, coming in as data, are taken for images


class Arrays:
    """The arrays of one page. `add` returns an array's number; the same numbers again get the same one.

    >>> arrays = Arrays()
    >>> arrays.add(np.ones(3)), arrays.add(np.zeros(3)), arrays.add(np.ones(3))
    (0, 1, 0)
    >>> arrays.stored[0]["summary"]
    'μ 1  σ 0'
    """

    def __init__(self, limit: int = FULL):
        self.limit = limit
        self.stored: list[dict[str, Any]] = []
        self._numbers: dict[Any, int] = {}

    def add(self, array: Any) -> int | None:
        """Store an array; None where it cannot be read here (another library's, or several results)."""
        return self._once(array, "array") if readable(array) else None

    def add_images(self, table: Any) -> int | None:
        """Store the rows of a table (count, side²) as images, the first few of them."""
        return self._once(table[:IMAGES], f"{len(table)} images")

    def _once(self, array: Any, kind: str) -> int:
        array = np.ascontiguousarray(array) if np.ndim(array) else np.asarray(array)
        digest = hashlib.blake2b(array.tobytes(), digest_size=16).digest()
        key = kind, array.shape, array.dtype.str, digest
        if key not in self._numbers:
            self._numbers[key] = len(self.stored)
            self.stored.append(_facts(array, self.limit) if kind == "array" else _images(array, kind))
        return self._numbers[key]


def limit_for(sizes: list[int], budget: int = BUDGET) -> int:
    """Return how many numbers of each array a page can store so that all stay within the budget.

    >>> limit_for([100, 25_000]), limit_for([10_000] * 400)
    (4096, 512)
    """
    limit = FULL
    while limit > 16 and sum(min(size, limit) for size in sizes) > budget:
        limit //= 2
    return limit


def _facts(array: Any, limit: int) -> dict[str, Any]:
    """Describe one array: its numbers or block means, and what is true of all its numbers."""
    norm, word, _ = health(array)
    table = _table(array)
    kept = block_means(table, limit)
    return {
        "shape": shape_text(array.shape),
        "size": int(array.size),
        "rows": kept.shape[0],
        "columns": kept.shape[1],
        "averaged": list(table.shape) if kept.size < table.size else None,
        **_packed(kept),
        "summary": summary(array),
        "extremes": range_of(array),
        "norm": number(norm),
        "size_of_norm": _finite(norm),
        "word": word,
        "histogram": _histogram(array),
    }


def _table(array: Any) -> Any:
    """See an array of any shape as rows and columns, its last axis across."""
    if array.ndim == 0:
        return array.reshape(1, 1)
    return array.reshape(-1, array.shape[-1]) if array.size else np.zeros((0, 0))


def block_means(table: Any, limit: int) -> Any:
    """Average neighbouring rows and columns until at most `limit` numbers are left.

    >>> block_means(np.array([[1.0, 3.0], [5.0, 7.0]]), 2)
    array([[2.],
           [6.]])
    """
    rows, columns = table.shape
    if table.size <= limit:
        return table
    side = max(1, int(limit**0.5))
    new_columns = min(columns, max(side, limit // rows))  # an axis that is short anyway stays whole
    new_rows = max(1, min(rows, limit // new_columns))
    with np.errstate(all="ignore"):
        return _means(_means(floats(table), new_rows).T, new_columns).T


def _means(table: Any, parts: int) -> Any:
    starts = np.arange(parts) * len(table) // parts
    return np.add.reduceat(table, starts) / np.diff([*starts, len(table)])[:, None]


def _packed(table: Any) -> dict[str, str]:
    """Write numbers as base64 text: in single precision if that changes little, else in double."""
    wide = floats(table)
    if wide.size > SMALL:
        with np.errstate(all="ignore"):
            narrow = wide.astype("<f4")
        lost = (np.isfinite(wide) != np.isfinite(narrow)) | ((narrow == 0) != (wide == 0))
        if not lost.any():
            return {"type": "f4", "data": _text(narrow)}
    return {"type": "f8", "data": _text(wide.astype("<f8"))}


def _images(table: Any, kind: str) -> dict[str, Any]:
    """Describe images: 16 bits a pixel are enough to look at, scaled to the brightest."""
    with np.errstate(all="ignore"):
        wide = np.nan_to_num(floats(table), nan=0.0, posinf=0.0, neginf=0.0)
    brightest = float(np.max(np.abs(wide), initial=0.0)) or 1.0
    pixels = np.round(wide / brightest * 32767).astype("<i2")
    side = round(table.shape[1] ** 0.5)
    return {"type": "i2", "data": _text(pixels), "side": side, "count": len(table), "all": kind}


def _text(array: Any) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _histogram(array: Any) -> dict[str, Any] | None:
    """Count all finite numbers in equal bins between the smallest and the largest."""
    wide = floats(array)
    wide = wide[np.isfinite(wide)]
    if wide.size < 2:
        return None
    low, high = float(wide.min()), float(wide.max())
    if not low < high or not np.isfinite(high - low):
        return None
    counts, _ = np.histogram(wide, BINS, (low, high))
    return {"low": number(low), "high": number(high), "counts": counts.tolist()}


def image_side(count: int) -> int | None:
    """Return the side of a square image of so many pixels, or None where it is hardly one.

    >>> image_side(784), image_side(10)
    (28, None)
    """
    side = round(count**0.5)
    return side if side * side == count and side in SIDES else None
