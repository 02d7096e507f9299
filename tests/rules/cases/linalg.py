"""Recipes for linear algebra: inverses, solving, factorizations and norms."""

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tinygrad_edu.rules.linalg import (
    along,
    at_rank,
    cofactors,
    euclidean,
    outside,
    p_norm,
    quotient,
    safe_length,
    tall_qr,
    thin_svd,
)
from tinygrad_edu.testing.strategies import AWAY_FROM_ZERO, LAYOUTS, arrays, axes, laid_out, shapes

from .base import Case, covers, options

FINE = {"step": 1 / 512}


def fine(*args: Any, function: Any = None, **kwargs: Any) -> Case:
    """Return a case measured with a shorter step, for functions that bend more."""
    return Case(args, kwargs, FINE, function)


def with_singular_values(draw: Any, m: int, n: int, low: float = 0.5, stack: Any = None) -> Any:
    """Draw matrices with singular values at least 0.8 apart, from `low` on."""
    stack = draw(shapes(max_dims=1)) if stack is None else stack
    random = np.random.default_rng(draw(st.integers(0, 9999)))
    k = min(m, n)
    u = np.linalg.qr(random.normal(size=(*stack, m, k)))[0]
    v = np.linalg.qr(random.normal(size=(*stack, n, k)))[0]
    s = low + np.arange(k) + random.uniform(0, 0.2, k)
    return laid_out((u * s) @ np.swapaxes(v, -1, -2), draw(st.sampled_from(LAYOUTS)))


def square(draw: Any, **how: Any) -> Any:
    n = draw(st.integers(1, 3))
    return with_singular_values(draw, n, n, **how)


def symmetric(a: Any) -> Any:
    return (a + np.swapaxes(a, -1, -2)) / 2


def positive(a: Any) -> Any:
    return a @ np.swapaxes(a, -1, -2) + np.eye(a.shape[-1], dtype=a.dtype)


SIZE = st.integers(1, 3)
covers(np.linalg.inv, np.linalg.det, np.linalg.slogdet, cofactors)(lambda draw: fine(square(draw)))
covers(np.linalg.pinv)(lambda draw: fine(with_singular_values(draw, draw(SIZE), draw(SIZE))))
covers(np.linalg.matrix_power)(lambda draw: fine(square(draw), draw(st.integers(-3, 5))))
covers(np.linalg.cholesky)(
    lambda draw: fine(
        square(draw),
        draw(st.booleans()),
        function=lambda a, upper: np.linalg.cholesky(positive(a), upper=upper),
    )
)
covers(np.linalg.svdvals)(lambda draw: fine(with_singular_values(draw, draw(SIZE), draw(SIZE))))


@covers(np.linalg.solve)
def _(draw: Any) -> Case:
    n, of_a = draw(SIZE), draw(shapes(max_dims=1))
    a = with_singular_values(draw, n, n, stack=of_a)
    of_b = draw(st.sampled_from([(n,), (n, 2), (*of_a, n, 2), (2, *(1 for _ in of_a), n, 1), (n, 0)]))
    return fine(a, draw(arrays(of_b)))


@covers(np.linalg.lstsq)
def _(draw: Any) -> Case:
    m, n = draw(st.integers(1, 4)), draw(SIZE)
    b = draw(arrays(st.sampled_from([(m,), (m, 2)])))
    return fine(with_singular_values(draw, m, n, stack=()), b, **options(draw, rcond=st.just(1e-6)))


@covers(np.linalg.tensorinv)
def _(draw: Any) -> Case:
    a = with_singular_values(draw, 4, 4, stack=())
    shape, ind = draw(st.sampled_from([((4, 2, 2), 1), ((2, 2, 4), 2), ((2, 2, 2, 2), 2)]))
    return fine(a.reshape(shape), ind)


@covers(np.linalg.tensorsolve)
def _(draw: Any) -> Case:
    a = with_singular_values(draw, 4, 4, stack=())
    if draw(st.booleans()):
        return fine(a.reshape(2, 2, 4), draw(arrays((2, 2))))
    return fine(a.reshape(2, 2, 4).transpose(2, 0, 1), draw(arrays((2, 2))), axes=(0,))


def eigen(a: Any, **how: Any) -> Any:
    """Return what does not depend on the signs of the eigenvectors."""
    values, vectors = np.linalg.eigh(symmetric(a), **how)
    return values, vectors[..., :, None, :] * vectors[..., None, :, :]


def spread_eigenvalues(draw: Any) -> Any:
    """Draw symmetric matrices with eigenvalues at least 0.8 apart."""
    a = square(draw)
    vectors = np.linalg.svd(a)[0]
    values = np.arange(a.shape[-1]) - 0.6
    return (vectors * values) @ np.swapaxes(vectors, -1, -2)


covers(np.linalg.eigh)(
    lambda draw: fine(
        spread_eigenvalues(draw), function=eigen, **options(draw, UPLO=st.sampled_from(["L", "U"]))
    )
)
covers(np.linalg.eigvalsh)(
    lambda draw: fine(spread_eigenvalues(draw), function=lambda a: np.linalg.eigvalsh(symmetric(a)))
)


def singular(a: Any, **how: Any) -> Any:
    """Return what does not depend on the signs of the singular vectors."""
    u, s, vh = np.linalg.svd(a, **how)
    return s, u[..., :, None, :] * u[..., None, :, :], u[..., :, None] * vh[..., None, :, :]


@covers(np.linalg.svd, thin_svd)
def _(draw: Any) -> Case:
    m, n = draw(SIZE), draw(SIZE)
    a = with_singular_values(draw, m, n)
    if draw(st.integers(0, 3)) == 0:
        return fine(a, function=lambda a: np.linalg.svd(a, compute_uv=False))
    return fine(a, function=lambda a: singular(a, full_matrices=m == n))


def orthogonal(a: Any, mode: str) -> Any:
    """Return what does not depend on the signs of the columns of Q."""
    if mode == "r":
        r = np.linalg.qr(a, mode)
        return r[..., :, None] * r[..., None, :]
    q, r = np.linalg.qr(a, mode)
    return q[..., :, :, None] * r[..., None, :, :]


@covers(np.linalg.qr, tall_qr)
def _(draw: Any) -> Case:
    m, n = draw(SIZE), draw(SIZE)
    a = with_singular_values(draw, m, n)
    k = min(m, n)  # the first columns must be independent
    assume(np.all(np.linalg.svdvals(a[..., :, :k])[..., -1] > 0.3))
    mode = draw(st.sampled_from(["reduced", "r"] + ["complete"] * (m <= n)))
    return fine(a, function=lambda a: orthogonal(a, mode))


covers(euclidean, safe_length)(
    lambda draw: fine(draw(arrays((2, 3, 2))), draw(st.sampled_from([(0,), (0, 1), (0, 1, 2), (2, 0)])))
)


covers(p_norm)(
    lambda draw: fine(
        draw(arrays((2, 3, 2), AWAY_FROM_ZERO)),
        draw(st.sampled_from([(0,), (0, 1), (2, 0)])),
        draw(st.sampled_from([0.5, 1.5, 3, -1])),
    )
)


covers(outside)(
    lambda draw: fine(draw(arrays((3, 2), AWAY_FROM_ZERO)), with_singular_values(draw, 3, 2, stack=()))
)


@covers(along)
def _(draw: Any) -> Case:
    x, axis = draw(arrays((2, 3, 2), AWAY_FROM_ZERO)), draw(st.sampled_from([(0,), (0, 1), (2, 0)]))
    factor = draw(arrays(np.sum(x, axis, keepdims=True).shape))
    return fine(factor, x, function=lambda f, x: along(f, x, axis, np.linalg.vector_norm(x, axis=axis)))


covers(quotient)(
    lambda draw: fine(draw(arrays((2, 2))), draw(arrays((2, 2), AWAY_FROM_ZERO)), np.zeros((2, 2), bool))
)


@covers(at_rank)
def _(draw: Any) -> Case:
    a = with_singular_values(draw, 3, 2, stack=())
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return fine(draw(arrays((3, 2))), a, function=lambda share, a: at_rank(share, a, u, s, vh.T))


@covers(np.linalg.norm)
def _(draw: Any) -> Case:
    keep = options(draw, keepdims=st.booleans())
    kind = draw(st.sampled_from(["all", "vector", "matrix", "axis", "axes"]))
    if kind == "all":
        return fine(draw(arrays(shapes(min_side=1))), **keep)
    order = draw(st.sampled_from([None, 0, 1, 2, 3, 2.5, -1, np.inf, -np.inf]))
    if kind == "vector":
        return fine(draw(sizes_apart((3,))), order, **keep)
    if kind == "axis":
        x = draw(sizes_apart((2, 3)))
        return fine(x, order, axis=draw(axes(2, several=False, none=False)), **keep)
    order = draw(st.sampled_from([None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]))
    a = with_singular_values(draw, 2, 3, stack=(2,) if kind == "axes" else ())
    assume(np.all(np.abs(np.diff(np.sum(np.abs(a), -1))) > 0.1) and np.all(np.abs(a) > 0.1))
    columns = np.sort(np.sum(np.abs(a), -2), -1)
    assume(np.all(np.abs(np.diff(columns)) > 0.1))
    places = draw(st.sampled_from([(1, 2), (-2, -1), (2, 1)])) if kind == "axes" else None
    return fine(a, order, places, **keep)


def sizes_apart(shape: Any) -> Any:
    """Draw arrays of distinct absolute values."""

    def far(x: Any) -> bool:
        size = np.abs(x)
        pairs = [np.diff(np.sort(size, axis), axis=axis) for axis in range(size.ndim)]
        pairs.append(np.diff(np.sort(size, None)))
        return all(np.all(p > 0.08) for p in pairs)

    return arrays(shape).filter(far)


covers(np.linalg.vector_norm)(
    lambda draw: fine(
        draw(sizes_apart((2, 3))),
        **options(
            draw,
            axis=st.sampled_from([0, 1, -1]),
            keepdims=st.booleans(),
            ord=st.sampled_from([1, 2, 3, np.inf, -np.inf, 0.5]),
        ),
    )
)
covers(np.linalg.matrix_norm)(
    lambda draw: fine(
        with_singular_values(draw, draw(SIZE), draw(SIZE)),
        **options(draw, keepdims=st.booleans(), ord=st.sampled_from(["fro", "nuc", 2, -2])),
    )
)
covers(np.linalg.cond)(lambda draw: fine(square(draw), draw(st.sampled_from([None, 2, -2, "fro"]))))
