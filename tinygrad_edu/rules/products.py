"""Gradient rules for products of vectors, matrices and tensors: matmul, dot, outer, tensordot, einsum.

A product is linear in each factor: a factor's gradient is the product of the output's gradient with the
other factors, summed over whatever that factor does not have.
"""

import functools
import string
from typing import Any

import numpy as np

from . import define, reads, rule, unbroadcast

# matmul: dA = g Bᵀ and dB = Aᵀ g. A vector on the left is a row, one on the right a column. Of two matrices,
# np.dot gives the same product in less time: a third of it with a batch of one.
rule(
    np.matmul,
    lambda g, y, a, b: (
        np.dot(g, b.T) if a.ndim == b.ndim == 2 else like(a, outer_axes(g, a, b) @ turned(column(b)), -2)
    ),
    lambda g, y, a, b: (
        dot_like(b, a.T, g) if a.ndim == b.ndim == 2 else like(b, turned(row(a)) @ outer_axes(g, a, b), -1)
    ),
)


@reads()
def dot_like(b: Any, p: Any, q: Any) -> Any:
    """Return the product of two matrices in the memory order of b, in which an update of b will read it."""
    flags = getattr(b, "flags", None)  # which Tensors and Dask's arrays do not have
    return np.dot(q.T, p.T).T if flags is not None and flags.f_contiguous else np.dot(p, q)


@reads()
def turned(a: Any) -> Any:
    """Swap the last two axes: transpose every matrix of a stack."""
    return np.swapaxes(a, -1, -2)


@reads()
def row(a: Any) -> Any:
    """Read a vector as a matrix of one row."""
    return a[None, :] if a.ndim == 1 else a


@reads()
def column(b: Any) -> Any:
    """Read a vector as a matrix of one column."""
    return b[:, None] if b.ndim == 1 else b


@reads()
def outer_axes(g: Any, a: Any, b: Any) -> Any:
    """Give the gradient of ``a @ b`` back the axes that vectors among a and b took from it."""
    g = g[..., None] if b.ndim == 1 else g
    return np.expand_dims(g, -2) if a.ndim == 1 else g


@reads()
def like(a: Any, g: Any, axis: int) -> Any:
    """Read a matrix of one row or column as a vector again, where `a` was one."""
    return np.squeeze(g, axis) if a.ndim == 1 else g


# dot, inner, outer, vdot, tensordot: contract g with the other factor over the axes that the other kept.
rule(
    np.tensordot,
    lambda g, y, a, b, axes=2: left_factor(g, a, b, *paired(axes, a, b)),
    lambda g, y, a, b, axes=2: right_factor(g, a, b, *paired(axes, a, b)),
)
rule(
    np.dot,
    lambda g, y, a, b, out=None: left_factor(g, a, b, *paired([[-1], last_but_one(b)], a, b)),
    lambda g, y, a, b, out=None: right_factor(g, a, b, *paired([[-1], last_but_one(b)], a, b)),
)
rule(
    np.inner,
    lambda g, y, a, b: left_factor(g, a, b, *paired([[-1], [-1]], a, b)),
    lambda g, y, a, b: right_factor(g, a, b, *paired([[-1], [-1]], a, b)),
)
rule(
    np.outer,
    lambda g, y, a, b, out=None: np.reshape(g @ np.ravel(b), np.shape(a)),
    lambda g, y, a, b, out=None: np.reshape(np.ravel(a) @ g, np.shape(b)),
)
rule(
    np.vdot,
    lambda g, y, a, b: np.reshape(g * np.ravel(b), np.shape(a)),
    lambda g, y, a, b: np.reshape(g * np.ravel(a), np.shape(b)),
)


def last_but_one(b: Any) -> list[int]:
    """Return the axis of its second argument that ``np.dot`` sums over."""
    return [max(np.ndim(b) - 2, 0)]


def paired(axes: Any, a: Any, b: Any) -> tuple[list[int], list[int]]:
    """Spell out which axes of a are summed against which of b; none where one of them is a number."""
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return [], []
    if np.ndim(axes) == 0:
        return list(range(np.ndim(a) - axes, np.ndim(a))), list(range(axes))
    of_a, of_b = (np.atleast_1d(np.asarray(side, int)) for side in axes)
    return [int(i) % np.ndim(a) for i in of_a], [int(i) % np.ndim(b) for i in of_b]


@reads()
def left_factor(g: Any, a: Any, b: Any, of_a: list[int], of_b: list[int]) -> Any:
    """Return the gradient of ``tensordot(a, b, (of_a, of_b))`` with respect to a."""
    kept_a, kept_b = kept(a, of_a), kept(b, of_b)
    found = np.tensordot(g, b, (list(range(len(kept_a), len(kept_a) + len(kept_b))), kept_b))
    return np.transpose(found, np.argsort(kept_a + [of_a[i] for i in np.argsort(of_b)]))


@reads()
def right_factor(g: Any, a: Any, b: Any, of_a: list[int], of_b: list[int]) -> Any:
    """Return the gradient of ``tensordot(a, b, (of_a, of_b))`` with respect to b."""
    kept_a, kept_b = kept(a, of_a), kept(b, of_b)
    found = np.tensordot(a, g, (kept_a, list(range(len(kept_a)))))
    return np.transpose(found, np.argsort([of_b[i] for i in np.argsort(of_a)] + kept_b))


def kept(a: Any, summed: list[int]) -> list[int]:
    """Return the axes that are not summed over."""
    return [i for i in range(np.ndim(a)) if i not in summed]


# stacks of vectors and matrices
rule(
    np.vecdot,
    lambda g, y, a, b, axis=-1: np.expand_dims(g, axis) * b,
    lambda g, y, a, b, axis=-1: np.expand_dims(g, axis) * a,
)
rule(
    np.matvec,
    lambda g, y, a, v: g[..., :, None] * v[..., None, :],
    lambda g, y, a, v: np.vecmat(g, a),
)
rule(
    np.vecmat,
    lambda g, y, v, a: np.matvec(a, g),
    lambda g, y, v, a: v[..., :, None] * g[..., None, :],
)


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Any:
    """Write numpy.cross by its components: a2 b3 - a3 b2 and its rotations."""
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    a, b = np.moveaxis(a, axisa, 0), np.moveaxis(b, axisb, 0)
    if len(a) != 3 or len(b) != 3:
        raise ValueError(
            f"cross with a gradient needs vectors of 3 components, and got {len(a)} and {len(b)}"
        )
    parts = [a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3] for i in range(3)]
    return np.stack(parts, axisc)


def kron(a: Any, b: Any) -> Any:
    """Write numpy.kron as an outer product whose axes are joined in pairs."""
    n = max(np.ndim(a), np.ndim(b))
    a, b = (np.reshape(x, (1,) * (n - np.ndim(x)) + np.shape(x)) for x in (a, b))
    pairs = np.reshape(a, [m for k in a.shape for m in (k, 1)]) * np.reshape(
        b, [m for k in b.shape for m in (1, k)]
    )
    return np.reshape(pairs, [i * j for i, j in zip(a.shape, b.shape, strict=True)])


def correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    """Write numpy.correlate as a convolution with the reverse."""
    if np.size(v) > np.size(a):  # as NumPy does it: swap, and reverse the answer
        return np.flip(np.convolve(v, np.flip(a), mode))
    return np.convolve(a, np.flip(v), mode)


# convolve: every element of a slides along v, so that its gradient slides along g
rule(
    np.convolve,
    lambda g, y, a, v, mode="full": np.reshape(
        np.correlate(uncut(g, a, v), np.ravel(v), "valid"), np.shape(a)
    ),
    lambda g, y, a, v, mode="full": np.reshape(
        np.correlate(uncut(g, a, v), np.ravel(a), "valid"), np.shape(v)
    ),
)


def uncut(g: Any, a: Any, v: Any) -> Any:
    """Put zeros for what the modes "same" and "valid" cut off the ends of a convolution."""
    missing = np.size(a) + np.size(v) - 1 - len(g)
    return np.pad(g, (missing // 2, missing - missing // 2)) if missing else g


define(np.cross, cross)
define(np.linalg.cross, lambda x1, x2, /, *, axis=-1: cross(x1, x2, axis=axis))
define(np.kron, kron)
define(np.correlate, correlate)
define(np.trace, lambda a, offset=0, axis1=0, axis2=1, dtype=None, out=None: np.sum(
    np.diagonal(a, offset, axis1, axis2), -1, dtype
))  # fmt: skip
define(
    np.linalg.trace, lambda x, /, *, offset=0, dtype=None: np.sum(np.diagonal(x, offset, -2, -1), -1, dtype)
)
define(np.linalg.matmul, lambda x1, x2, /: np.matmul(x1, x2))
define(np.linalg.outer, lambda x1, x2, /: np.outer(x1, x2))
define(
    np.linalg.vecdot,
    lambda x1, x2, /, *, axis=-1: np.vecdot(np.moveaxis(x1, axis, -1), np.moveaxis(x2, axis, -1)),
)
define(np.linalg.tensordot, lambda x1, x2, /, *, axes=2: np.tensordot(x1, x2, axes))
define(np.linalg.multi_dot, lambda arrays, *, out=None: functools.reduce(np.dot, arrays))

# einsum: the output's letters and a factor's change places.
rule(np.einsum, each=lambda position, g, y, *call, **how: einsum_factor(position, g, *call, **how))


@reads()
def einsum_factor(position: int, g: Any, *call: Any, optimize: Any = False, **_: Any) -> Any:
    """Return the gradient of einsum with respect to the argument at `position`."""
    if not isinstance(call[0], str):  # einsum(a, [0, 1], b, [1, 2], [0, 2]) says the same without letters
        factors, position = call[0 : len(call) // 2 * 2 : 2], position // 2
        subscripts = [letters_of(numbers) for numbers in call[1::2]]
        result = "->" + letters_of(call[-1]) if len(call) % 2 else ""
        call, position = (",".join(subscripts) + result, *factors), position + 1
    factors, position = call[1:], position - 1
    inputs, output = explicit(call[0], [np.ndim(factor) for factor in factors])
    wanted, shape = inputs[position], np.shape(factors[position])
    terms = [(output, g)] + [(inputs[i], factor) for i, factor in enumerate(factors) if i != position]

    fresh = (letter for letter in string.ascii_letters if letter not in "".join([output, *inputs]))
    target = ""
    for letter, n in zip(wanted, shape, strict=True):
        if letter in target:  # a repeated letter picks a diagonal, and its gradient is on that diagonal
            copy = next(fresh)
            terms.append((letter + copy, np.eye(n, dtype=g.dtype)))
            letter = copy
        elif not any(letter in others for others, _ in terms):  # a letter of its own was summed out
            terms.append((letter, np.ones(n, g.dtype)))
        target += letter
    spelled = ",".join(letters for letters, _ in terms) + "->" + target
    found = np.einsum(spelled, *(factor for _, factor in terms), optimize=optimize)
    # an axis of length one stretches to the others' length: in the factor itself, or in all the others
    return unbroadcast(np.broadcast_to(found, np.broadcast_shapes(found.shape, shape)), shape)


def letters_of(numbers: Any) -> str:
    """Write einsum's axis numbers as letters."""
    return "".join("..." if n is Ellipsis else string.ascii_letters[n] for n in numbers)


def explicit(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """Write einsum's subscripts with a letter for every axis: no ``...``, and always an output."""
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    if not arrow:
        named = left.replace(",", "").replace(".", "")
        output = "..." * ("..." in left) + "".join(sorted(c for c in set(named) if named.count(c) == 1))
    spare = [letter for letter in string.ascii_letters if letter not in subscripts]
    hidden = [ndim - len(letters.replace("...", "")) for letters, ndim in zip(inputs, ndims, strict=True)]
    longest = max((n for n, letters in zip(hidden, inputs, strict=True) if "..." in letters), default=0)
    axes = "".join(spare[:longest])
    inputs = [x.replace("...", axes[longest - n :]) for x, n in zip(inputs, hidden, strict=True)]
    return inputs, output.replace("...", axes)
