"""Rules for linear algebra: inverses, determinants, solving, factorizations and norms, batched as in NumPy.

Sources: M. Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008); for singular
values J. Townsend (2016); for Cholesky I. Murray (2016). Functions of symmetric matrices (cholesky, eigh)
give symmetric gradients. Where eigenvalues or singular values coincide, the vectors have no derivative, and
what depends on the difference of the two counts as zero.
"""

from typing import Any

import numpy as np

from . import as_array, constant, define, reads, rule, unbroadcast
from .primitive import primitive
from .reductions import axes_of, others


@reads()
def T(a: Any) -> Any:
    """Transpose every matrix of a stack."""
    return np.swapaxes(a, -1, -2)


def diagonal_matrix(d: Any) -> Any:
    """Make every vector of a stack the diagonal of a matrix."""
    return d[..., :, None] * np.eye(d.shape[-1], dtype=d.dtype)


def scalars(g: Any) -> Any:
    """Give a stack of numbers two axes more, to multiply matrices with."""
    return g[..., None, None]


# inverses and determinants
rule(np.linalg.inv, lambda g, y, a: -(T(y) @ g @ T(y)))
rule(np.linalg.slogdet, lambda g, y, a: scalars(g[1]) * T(np.linalg.inv(a)))


@primitive(lambda g, y, a: _cofactor_slope(g, a, T(np.linalg.inv(a))))
def cofactors(a: Any) -> Any:
    """Return the matrix of cofactors, the gradient of the determinant; a singular matrix has one too."""
    u, s, vh = np.linalg.svd(a)
    signs = np.linalg.det(u) * np.linalg.det(vh)
    return scalars(signs) * ((u * others(s, -1)[..., None, :]) @ vh)


def _cofactor_slope(g: Any, a: Any, inverse: Any) -> Any:
    slope = scalars(np.sum(g * inverse, (-2, -1))) * inverse - inverse @ T(g) @ inverse
    return scalars(np.linalg.det(a)) * slope


rule(np.linalg.det, lambda g, y, a: scalars(g) * cofactors(a))

# solving
rule(
    np.linalg.solve,
    lambda g, y, a, b: unbroadcast(-solve_back(g, a, b) @ T(columns(y, b)), np.shape(a)),
    lambda g, y, a, b: unbroadcast(
        solve_back(g, a, b)[..., 0] if np.ndim(b) == 1 else solve_back(g, a, b), np.shape(b)
    ),
)


def solve_back(g: Any, a: Any, b: Any) -> Any:
    """Solve with the transposed matrix, for columns of gradients."""
    return np.linalg.solve(T(a), columns(g, b))


def columns(v: Any, b: Any) -> Any:
    """Read a vector as one column, as solve does."""
    return v[..., None] if np.ndim(b) == 1 else v


rule(np.linalg.pinv, lambda g, y, a, *args, **how: (
    -T(y) @ g @ T(y)
    + (np.eye(a.shape[-2]) - a @ y) @ T(g) @ y @ T(y)
    + T(y) @ y @ T(g) @ (np.eye(a.shape[-1]) - y @ a)
))  # fmt: skip


def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """Write numpy.linalg.lstsq with the pseudoinverse."""
    a, b = as_array(a), as_array(b)
    m, n = a.shape
    s = np.linalg.svdvals(a)
    cutoff = np.finfo(s.dtype).eps * max(m, n) if rcond is None else rcond
    rank = np.sum(s > cutoff * s[0], dtype=np.int32)
    x = np.linalg.pinv(a, cutoff) @ b
    residual = b - a @ x
    left = np.sum(residual**2, 0) if rank == n < m else np.empty(0, s.dtype)
    return x, np.atleast_1d(left), rank, s


def matrix_power(a: Any, n: int) -> Any:
    """Write numpy.linalg.matrix_power by repeated squaring."""
    if n < 0:
        return matrix_power(np.linalg.inv(a), -n)
    power = None
    while n:
        n, odd = divmod(n, 2)
        power = (a if power is None else power @ a) if odd else power
        a = a @ a if n else a
    return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape) if power is None else power


def tensorinv(a: Any, ind: int = 2) -> Any:
    """Write numpy.linalg.tensorinv as the inverse of a matrix."""
    n = int(np.prod(a.shape[ind:]))
    return np.reshape(np.linalg.inv(np.reshape(a, (n, n))), a.shape[ind:] + a.shape[:ind])


def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """Write numpy.linalg.tensorsolve as solving with a matrix."""
    a = as_array(a)
    if axes is not None:
        a = np.moveaxis(a, axes, list(range(a.ndim - len(axes), a.ndim)))
    shape = a.shape[np.ndim(b) :]
    return np.reshape(np.linalg.solve(np.reshape(a, (np.size(b), -1)), np.ravel(b)), shape)


define(np.linalg.lstsq, lstsq)
define(np.linalg.matrix_power, matrix_power)
define(np.linalg.tensorinv, tensorinv)
define(np.linalg.tensorsolve, tensorsolve)

# factorizations


def cholesky_rule(g: Any, factor: Any) -> Any:
    """Return the gradient of the lower Cholesky factor (Murray 2016, eq. 9)."""
    inner = half_lower(T(factor) @ g)
    inverse = np.linalg.inv(factor)
    return symmetric(T(inverse) @ inner @ inverse)


def half_lower(a: Any) -> Any:
    """Keep the lower triangle and half of the diagonal."""
    return np.tril(a) - diagonal_matrix(np.diagonal(a, 0, -2, -1)) / 2


def symmetric(a: Any) -> Any:
    """Return the symmetric part."""
    return (a + T(a)) / 2


def inverse_differences(v: Any) -> Any:
    """Return 1 / (v_j - v_i), and zero where they coincide."""
    difference = v[..., None, :] - v[..., :, None]
    same = difference == 0
    return np.where(same, 0, 1 / np.where(same, 1, difference))


rule(
    np.linalg.cholesky,
    lambda g, y, a, /, *, upper=False: cholesky_rule(T(g), T(y)) if upper else cholesky_rule(g, y),
)
rule(
    np.linalg.eigh,
    lambda g, y, a, UPLO="L": symmetric(
        y[1] @ (diagonal_matrix(g[0]) + inverse_differences(y[0]) * (T(y[1]) @ g[1])) @ T(y[1])
    ),
)
define(np.linalg.eigvalsh, lambda a, UPLO="L": np.linalg.eigh(a, UPLO)[0])


def qr(a: Any, mode: str = "reduced") -> Any:
    """Write numpy.linalg.qr with its reduced form for tall matrices, which has a rule."""
    m, n = a.shape[-2:]
    if mode not in ("reduced", "r", "complete") or (mode == "complete" and m > n):
        raise TypeError(
            f"np.linalg.qr(mode={mode!r}) of a {m} x {n} matrix has no gradient rule; 'reduced' has"
        )
    q, r = tall_qr(a[..., :, : min(m, n)])
    r = np.concatenate([r, T(q) @ a[..., :, m:]], -1) if n > m else r
    return r if mode == "r" else type(np.linalg.qr(np.eye(1)))(q, r)


@primitive(lambda g, y, a: qr_rule(g[0], g[1], y[0], y[1]))
def tall_qr(a: Any) -> Any:
    """Factor matrices with no more columns than rows: the gradient is that of Walter & Lehmann (2012)."""
    return tuple(np.linalg.qr(a))


def qr_rule(gq: Any, gr: Any, q: Any, r: Any) -> Any:
    """Return the gradient of a tall QR factorization."""
    inner = r @ T(gr) - T(gq) @ q
    lower = np.tril(inner, -1)
    both = lower + T(lower) + diagonal_matrix(np.diagonal(inner, 0, -2, -1))
    return (gq + q @ both) @ T(np.linalg.inv(r))


define(np.linalg.qr, qr)


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """Write numpy.linalg.svd with its reduced form, which has a rule."""
    if compute_uv and full_matrices and a.shape[-1] != a.shape[-2]:
        raise TypeError("the extra vectors of a full svd have no gradient; write full_matrices=False")
    u, s, vh = thin_svd(a)
    return type(np.linalg.svd(np.eye(1)))(u, s, vh) if compute_uv else s


@primitive(lambda g, y, a: svd_rule(g[0], g[1], T(g[2]), y[0], y[1], T(y[2])))
def thin_svd(a: Any) -> Any:
    """Factor matrices into their singular values and as many singular vectors."""
    return tuple(np.linalg.svd(a, full_matrices=False))


def svd_rule(gu: Any, gs: Any, gv: Any, u: Any, s: Any, v: Any) -> Any:
    """Return the gradient of the thin singular value decomposition (Townsend 2016, eq. 31)."""
    f = inverse_differences(s * s)
    safe = np.where(s == 0, 1, s)
    inverse = np.where(s == 0, 0, 1 / safe)[..., None, :]
    left = f * (T(u) @ gu - T(gu) @ u) * s[..., None, :]
    right = s[..., :, None] * (f * (T(v) @ gv - T(gv) @ v))
    found = u @ (diagonal_matrix(gs) + left + right) @ T(v)
    found = found + ((gu - u @ (T(u) @ gu)) * inverse) @ T(v)
    return found + (u * inverse) @ T(gv - v @ (T(v) @ gv))


define(np.linalg.svd, svd)
define(np.linalg.svdvals, lambda x, /: thin_svd(x)[1])

# norms: at the zero vector, where the slope jumps, the gradient is zero


@primitive(lambda g, y, x, axis: np.expand_dims(g * (y != 0) / (y + (y == 0)), axis) * x)
def euclidean(x: Any, axis: tuple[int, ...]) -> Any:
    """Return the root of the sum of squares over some axes."""
    return np.sqrt(np.sum(x * x, axis))


def vector_norm(x: Any, axis: tuple[int, ...], order: Any) -> Any:
    """Write the norms of vectors; several axes are one long vector."""
    if order == 2:
        return euclidean(x, axis)
    size = np.abs(x)
    if order in (np.inf, -np.inf):
        return np.max(size, axis) if order > 0 else np.min(size, axis)
    if order == 0:
        return np.sum((x != 0).astype(x.dtype), axis)
    if order == 1:
        return np.sum(size, axis)
    total = np.sum(size**order, axis)
    return np.where(total == 0, 0, np.where(total == 0, 1, total) ** (1 / order))


def matrix_norm(x: Any, axes: tuple[int, int], order: Any) -> Any:
    """Write the norms of matrices by their sums or singular values."""
    row, column = axes
    if order == "fro":
        return euclidean(x, axes)
    if order in (1, -1, np.inf, -np.inf):
        summed = np.sum(np.abs(np.moveaxis(x, axes, (-2, -1))), -2 if abs(order) == 1 else -1)
        return np.max(summed, -1) if order > 0 else np.min(summed, -1)
    s = thin_svd(np.moveaxis(x, (row, column), (-2, -1)))[1]
    if order == "nuc":
        return np.sum(s, -1)
    if order in (2, -2):
        return np.max(s, -1) if order > 0 else np.min(s, -1)
    raise ValueError(f"{order!r} is no matrix norm; there are 'fro', 'nuc', 1, -1, 2, -2, inf and -inf")


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Write numpy.linalg.norm as the vector or matrix norm it stands for."""
    if ord is None and axis is None:
        axes = axes_of(None, x.ndim)
        found = euclidean(x, axes)
    else:
        axes = axes_of(axis, x.ndim)
        if len(axes) == 2:
            found = matrix_norm(x, (axes[0], axes[1]), "fro" if ord is None else ord)
        elif len(axes) == 1:
            found = vector_norm(x, axes, 2 if ord is None else ord)
        else:
            raise ValueError(f"a norm of order {ord!r} is over one axis or two, and got {len(axes)}")
    return np.expand_dims(found, axes) if keepdims else found


def array_vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """Write numpy.linalg.vector_norm."""
    axes = axes_of(axis, x.ndim)
    found = vector_norm(x, axes, ord)
    return np.expand_dims(found, axes) if keepdims else found


def cond(x: Any, p: Any = None) -> Any:
    """Write numpy.linalg.cond as the ratio of singular values, or of norms."""
    if p in (None, 2, -2):
        s = thin_svd(x)[1]
        return s[..., 0] / s[..., -1] if p != -2 else s[..., -1] / s[..., 0]
    return matrix_norm(x, (-2, -1), p) * matrix_norm(np.linalg.inv(x), (-2, -1), p)


define(np.linalg.norm, norm)
define(np.linalg.vector_norm, array_vector_norm)
define(
    np.linalg.matrix_norm,
    lambda x, /, *, keepdims=False, ord="fro": norm(x, ord, (-2, -1), keepdims),
)
define(np.linalg.cond, cond)
constant(np.linalg.matrix_rank)
