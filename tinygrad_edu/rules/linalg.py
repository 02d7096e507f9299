"""Rules for linear algebra: inverses, determinants, solving, factorizations and norms, batched as in NumPy.

Sources: M. Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008); for singular
values J. Townsend (2016); for Cholesky I. Murray (2016). Of a symmetric matrix (cholesky, eigh) NumPy reads
one triangle, and the other gets gradient zero. Where eigenvalues or singular values coincide, their vectors
have no derivative, and what depends on them has gradient nan. docs/kinks.md says more.
"""

import math
from typing import Any

import numpy as np

from . import as_array, constant, define, reads, rule, unbroadcast
from .elementwise import at_kink, nonzero
from .primitive import opaque, primitive
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
    """Return the matrix of cofactors, the gradient of the determinant; a singular matrix has one too.

    Of a matrix that is not finite they are nan: its decomposition may take LAPACK for ever.
    """
    finite = np.all(np.isfinite(a), axis=(-2, -1), keepdims=True)
    u, s, vh = np.linalg.svd(np.where(finite, a, 0))
    signs = np.linalg.det(u) * np.linalg.det(vh)
    return np.where(finite, scalars(signs) * ((u * others(s, -1)[..., None, :]) @ vh), np.nan)


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
    """Return the gradient of the lower Cholesky factor (Murray 2016, eq. 9), for both triangles."""
    inner = half_lower(T(factor) @ g)
    inverse = np.linalg.inv(factor)
    return T(inverse) @ inner @ inverse


def half_lower(a: Any) -> Any:
    """Keep the lower triangle and half of the diagonal."""
    return np.tril(a) - diagonal_matrix(np.diagonal(a, 0, -2, -1)) / 2


def read_triangle(g: Any, upper: bool) -> Any:
    """Add up the two triangles of a gradient in the one of them that NumPy reads of a symmetric matrix."""
    lower = half_lower(g + T(g))
    return T(lower) if upper else lower


def mirrored(a: Any, upper: bool = False) -> Any:
    """Return the symmetric matrix of which NumPy reads one triangle."""
    return np.triu(a) + T(np.triu(a, 1)) if upper else np.tril(a) + T(np.tril(a, -1))


def over_differences(m: Any, v: Any) -> Any:
    """Return (m_ij - m_ji) / (v_j - v_i), which is how much a turn of eigenvectors i and j moves a loss.

    Where the two values coincide, up to rounding, it is 0 if nothing depends on their vectors, else nan.
    """
    differences = np.where(np.eye(v.shape[-1]) == 1, np.inf, v[..., None, :] - v[..., :, None])
    noise = 4 * np.finfo(v.dtype).eps * np.max(np.abs(v), axis=-1, keepdims=True, initial=0)
    parts = quotient(m, differences, np.abs(differences) <= noise[..., None])
    return parts + T(parts)


@primitive(
    lambda g, y, m, d, zero: quotient(g, d, zero),  # type: ignore[has-type]
    lambda g, y, m, d, zero: -quotient(g * y, d, zero),  # type: ignore[has-type]
    None,
    elementwise=True,
)
def quotient(m: Any, d: Any, zero: Any) -> Any:
    """Return the matrix m / d; where d counts as `zero`, 0 if m is 0 up to rounding, and nan otherwise.

    Of 0 / 0 the limit is not known. It is taken to be 0, as where a loss does not depend on some vectors.
    """
    noise = 1e3 * np.finfo(m.dtype).eps * np.max(np.abs(m), axis=(-2, -1), keepdims=True, initial=0)
    unknown = np.where(np.abs(m) <= noise, 0, np.nan)
    return np.where(zero, unknown, m / np.where(zero, 1, d)).astype(m.dtype)


rule(
    np.linalg.cholesky,
    lambda g, y, a, /, *, upper=False: read_triangle(
        cholesky_rule(T(g), T(y)) if upper else cholesky_rule(g, y), upper
    ),
)
rule(
    np.linalg.eigh,
    lambda g, y, a, UPLO="L": read_triangle(
        y[1] @ (diagonal_matrix(g[0]) + over_differences(T(y[1]) @ g[1], y[0]) / 2) @ T(y[1]),
        UPLO.upper() == "U",
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
    u, s, vh = thin_svd(mirrored(a) if hermitian else a)
    return type(np.linalg.svd(np.eye(1)))(u, s, vh) if compute_uv else s


@primitive(lambda g, y, a: svd_rule(a, g[0], g[1], T(g[2]), y[0], y[1], T(y[2])))
def thin_svd(a: Any) -> Any:
    """Factor matrices into their singular values and as many singular vectors."""
    return tuple(np.linalg.svd(a, full_matrices=False))


def svd_rule(a: Any, gu: Any, gs: Any, gv: Any, u: Any, s: Any, v: Any) -> Any:
    """Return the gradient of the thin singular value decomposition (Townsend 2016, eq. 31).

    In place of 1 / (s_j² - s_i²) stand 1 / (s_j - s_i) and 1 / (s_j + s_i), its partial fractions. A singular
    value of 0 is at a kink, as an absolute value is, and has gradient 0 as well; but of what depends on its
    vectors too, nothing is known.
    """
    mu, mv = T(u) @ gu, T(v) @ gv
    zero, row = vanishes(s, u, v), s[..., None, :]
    sums = np.where(np.eye(s.shape[-1]) == 1, np.inf, row + T(row))
    differ = over_differences(mu, s) + over_differences(mv, s)
    agree = quotient((mu - mv) - T(mu - mv), sums, zero[..., None, :] & zero[..., :, None])
    vectors_matter = np.any((mu != 0) | (mv != 0), axis=(-2, -1))[..., None]
    gs = np.where(zero, np.where(vectors_matter & (gs != 0), np.nan, 0), gs)
    found = u @ (diagonal_matrix(gs) + (differ + agree) / 2) @ T(v)
    # what leaves the space of the vectors; projected on both sides, since forwards it runs the other way
    found = found + outside(quotient(outside(gu, u), row, zero[..., None, :]), u) @ T(v)
    found = found + u @ T(outside(quotient(outside(gv, v), row, zero[..., None, :]), v))
    return at_rank(found, a, u, s, v)


@primitive(
    lambda g, y, share, a, u, s, v: g,
    lambda g, y, share, a, u, s, v: unknown_at_rank(g, u, s, v),
    *(None, None, None),
    elementwise=True,
)
def at_rank(share: Any, a: Any, u: Any, s: Any, v: Any) -> Any:
    """Return a gradient by `a`; its own derivative is nan towards a higher rank, where s has a kink."""
    return share


def unknown_at_rank(g: Any, u: Any, s: Any, v: Any) -> Any:
    """Return nan where the second derivative goes from a singular value of 0 to one that is not."""
    noise = 1e3 * np.finfo(s.dtype).eps * np.max(np.abs(g), axis=(-2, -1), initial=0)[..., None]
    reached = vanishes(s, u, v) & (np.abs(np.sum(u * (g @ v), -2)) > noise)
    return np.where(np.broadcast_to(scalars(np.any(reached, -1)), g.shape), np.nan, 0)


@reads(lambda x, u: x - u @ (T(u) @ x))
@primitive(
    lambda g, y, x, u: outside(g, u),
    lambda g, y, x, u: -g @ T(T(u) @ x) - x @ T(T(u) @ g),
)
def outside(x: Any, u: Any) -> Any:
    """Return the part of some vectors that is orthogonal to the columns of u; mere rounding becomes 0."""
    part = x - u @ (T(u) @ x)
    noise = 1e3 * np.finfo(part.dtype).eps * np.max(np.abs(x), axis=(-2, -1), keepdims=True, initial=0)
    return np.where(np.abs(part) <= noise, 0, part).astype(part.dtype)


def vanishes(s: Any, u: Any, v: Any) -> Any:
    """Tell which singular values are 0 up to rounding, by the bound of np.linalg.matrix_rank."""
    largest = np.max(s, axis=-1, keepdims=True, initial=0)
    return s <= largest * max(u.shape[-2], v.shape[-2]) * np.finfo(s.dtype).eps


define(np.linalg.svd, svd)
define(np.linalg.svdvals, lambda x, /: thin_svd(x)[1])

# norms: at the zero vector, where the slope jumps, the gradient is zero


@primitive(lambda g, y, x, axis: at_kink(along(np.expand_dims(g, axis), x, axis, y), x, x, axis=axis))
def euclidean(x: Any, axis: tuple[int, ...]) -> Any:
    """Return the root of the sum of squares over some axes."""
    return np.sqrt(np.sum(x * x, axis))


@reads(lambda g, x, axis, y: g * x / np.expand_dims(y, axis))
@primitive(
    lambda g, y, factor, x, axis, length: np.sum(g * direction(x, axis), axis, keepdims=True),
    lambda g, y, factor, x, axis, length: factor * across(g, x, axis) / nonzero(safe_length(x, axis)),
    *(None, None),
)
@opaque
def along(factor: Any, x: Any, axis: tuple[int, ...], length: Any) -> Any:
    """Return `factor` times the direction of x, using its `length` where that can be trusted.

    That is where the squares it was found by were no smaller or larger than a float can be.
    """
    limits = np.finfo(x.dtype)
    if np.all((length > math.sqrt(limits.tiny) / limits.eps) & (length < np.inf)):
        return x * (factor / np.expand_dims(length, axis))
    return factor * direction(x, axis)


@reads()
def direction(x: Any, axis: tuple[int, ...]) -> Any:
    """Return vectors over their length, 0 for a vector of zeros."""
    return x / nonzero(safe_length(x, axis))


def across(g: Any, x: Any, axis: tuple[int, ...]) -> Any:
    """Return the part of g that turns x and does not stretch it."""
    u = direction(x, axis)
    return g - u * np.sum(g * u, axis, keepdims=True)


@reads("length({x})")
@primitive(lambda g, y, x, axis: g * direction(x, axis))
def safe_length(x: Any, axis: tuple[int, ...]) -> Any:
    """Return the length of vectors, found without squares of very small or large numbers; axes stay."""
    largest = nonzero(np.max(np.abs(x), axis=axis, keepdims=True, initial=0))
    scaled = x / largest
    return largest * np.sqrt(np.sum(scaled * scaled, axis, keepdims=True))


@primitive(
    lambda g, y, x, axis, order: p_norm_share(
        np.expand_dims(g, axis), np.expand_dims(y, axis), x, axis, order
    )
)
def p_norm(x: Any, axis: tuple[int, ...], order: Any) -> Any:
    """Return the root of order p of the sum of absolute values to the power p."""
    return np.sum(np.abs(x) ** order, axis) ** (1 / order)


def p_norm_share(g: Any, y: Any, x: Any, axis: tuple[int, ...], order: Any) -> Any:
    """Return the gradient of `p_norm`: sign(x) (|x| / y)^(p - 1), and 0 where x or y is 0."""
    share = g * np.sign(x) * nonzero(np.abs(x) / nonzero(y)) ** (order - 1) * (y != 0)
    share = at_kink(share, y, x, axis=axis)
    return share if order >= 2 else at_kink(share, x, x)


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
    return p_norm(x, axis, order)


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
