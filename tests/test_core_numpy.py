"""NumPy's less usual forms: lists as operands, kinks and ties, edges of domains, einsum's many spellings."""

from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Tensor
from tinygrad_edu.testing import check_gradient

X = np.array([[1.1, 2.2, 3.3], [4.4, 5.6, 6.7]])
ROW = [1.0, 2.0, 3.0]


def slope(f: Any, at: Any) -> Any:
    x = Tensor(np.asarray(at, float), requires_grad=True)
    np.sum(f(x)).backward()
    return np.zeros(x.shape).tolist() if x.grad is None else x.grad.tolist()


def slope_of_slope(f: Any, at: Any) -> Any:
    x = Tensor(np.asarray(at, float), requires_grad=True)
    np.sum(f(x)).backward(create_graph=True)
    first, x.grad = x.grad, None
    if first.requires_grad:
        np.sum(first).backward()
    return np.zeros(x.shape).tolist() if x.grad is None else x.grad.tolist()


# Conventions at kinks


@pytest.mark.parametrize(
    ("f", "at", "expected"),
    [
        (np.abs, [0.0], [0.0]),
        (np.fabs, [0.0], [0.0]),
        (abs, [0.0, -0.0, 2.0], [0.0, 0.0, 1.0]),
        (lambda x: np.maximum(x, 1.0), [1.0, 2.0], [0.5, 1.0]),
        (lambda x: np.minimum(x, 1.0), [1.0, 2.0], [0.5, 0.0]),
        (lambda x: np.maximum(x, x), [1.0], [1.0]),
        (lambda x: np.fmax(x, 1.0), [1.0], [0.5]),
        (np.max, [3.0, 1.0, 3.0], [0.5, 0.0, 0.5]),
        (np.min, [3.0, 1.0, 1.0, 1.0], [0.0, 1 / 3, 1 / 3, 1 / 3]),
        (lambda x: np.max(x, axis=1), [[2.0, 2.0], [1.0, 3.0]], [[0.5, 0.5], [0.0, 1.0]]),
        (lambda x: np.clip(x, 1.0, 3.0), [1.0, 2.0, 3.0, 4.0], [0.5, 1.0, 0.5, 0.0]),
        (lambda x: x**0, [0.0, 2.0], [0.0, 0.0]),
        (lambda x: x**0.0, [0.0, 2.0], [0.0, 0.0]),
        (lambda x: x**1, [0.0, 2.0], [1.0, 1.0]),
        (lambda x: x**2, [0.0, -2.0], [0.0, -4.0]),
        (lambda x: np.power(x, 3.0), [0.0, -2.0], [0.0, 12.0]),
        (lambda x: np.power(x, np.array([0.0, 1.0, 2.0])), [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]),
        (lambda p: 0.0**p, [1.0, 2.0], [0.0, 0.0]),
        (lambda p: np.power(0.0, p), [0.0], [0.0]),
        (np.sign, [0.0, 2.0], [0.0, 0.0]),
        (np.prod, [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
        (np.prod, [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]),
        (np.std, [1.0, 1.0], [0.0, 0.0]),
        (lambda x: np.where(x > 0, x, 0), [np.inf, 1.0], [1.0, 1.0]),
        (lambda x: np.sum(x, where=[True, False]), [1.0, np.nan], [1.0, 0.0]),
        (lambda x: np.logaddexp(x, -np.inf), [1.0], [1.0]),
        (lambda x: np.maximum(x, np.inf), [1.0], [0.0]),
        (lambda x: np.fmax(x, np.nan), [1.0], [1.0]),
    ],
)
def test_conventions_at_kinks(f: Any, at: Any, expected: Any) -> None:
    np.testing.assert_allclose(slope(f, at), expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("f", "at", "expected"),
    [
        (np.prod, [0.0, 2.0, 0.0], [2.0, 0.0, 2.0]),
        (np.prod, [0.0, 2.0, 3.0], [5.0, 3.0, 2.0]),
        (lambda x: x**2, [0.0, -2.0], [2.0, 2.0]),
        (lambda x: x**3, [0.0, -2.0], [0.0, -12.0]),
        (lambda x: np.power(x, 2.0), [0.0, -2.0], [2.0, 2.0]),
        (lambda x: np.power(x, 1.0), [0.0, -2.0], [0.0, 0.0]),
        (lambda x: np.power(x, 0.0), [0.0, -2.0], [0.0, 0.0]),
        (np.abs, [0.0, 1.0], [np.nan, 0.0]),
    ],
)
def test_second_order_at_kinks_and_zeros(f: Any, at: Any, expected: Any) -> None:
    np.testing.assert_allclose(slope_of_slope(f, at), expected, rtol=1e-14)


@pytest.mark.parametrize("zeros", [(), (0,), (0, 3), (1, 2, 4)])
def test_products_with_zeros_to_the_second_order(zeros: Any) -> None:
    x = np.arange(1.0, 7.0).reshape(2, 3)
    x.flat[list(zeros)] = 0
    for f in (np.prod, lambda a: np.prod(a, axis=0), lambda a: np.prod(a, axis=(1, 0), keepdims=True)):
        check_gradient(f, x)


def test_negative_bases_with_whole_exponents() -> None:
    x = np.array([-2.0, -1.5])
    for p in (2, 3, -1, -2, 2.0, 3.0, np.array([2.0, 3.0]), np.array([2, 3]), Tensor(3.0)):
        check_gradient(lambda a, p=p: a**p, x)
    check_gradient(lambda a: np.float_power(a, 3), x)


def test_infinite_bounds_of_clip() -> None:
    assert slope(lambda x: np.clip(x, -np.inf, np.inf), [1.0, -3.0]) == [1.0, 1.0]
    assert slope(lambda x: np.clip(x, 0.0, np.inf), [1.0, -3.0]) == [1.0, 0.0]
    assert np.all(np.isfinite(slope(lambda x: np.clip(x, -np.inf, np.inf), [np.inf])))


def test_logaddexp_of_minus_infinities_is_quiet() -> None:
    assert np.all(np.isfinite(slope(lambda x: np.logaddexp(x, -np.inf), [-np.inf, 1.0])))


# Lists and numbers as operands

LISTS = {
    "mul": lambda a: a * ROW,
    "rmul": lambda a: ROW * a,
    "sub": lambda a: ROW - a,
    "div": lambda a: [1, 2, 3] / a,
    "pow": lambda a: a**ROW,
    "rpow": lambda a: ROW**a,
    "matmul": lambda a: a @ ROW,
    "rmatmul": lambda a: [1.0, 2.0] @ a,
    "np.matmul": lambda a: np.matmul([[1.0, 2.0], [2, 3]], a),
    "np.dot": lambda a: np.dot(a, ROW),
    "np.dot-left": lambda a: np.dot([1.0, 2.0], a),
    "np.dot-number": lambda a: np.dot(a, 2.0),
    "np.outer": lambda a: np.outer(a, [1.0, 2.0]),
    "np.inner": lambda a: np.inner(a, ROW),
    "np.tensordot": lambda a: np.tensordot(a, ROW, 1),
    "np.vdot": lambda a: np.vdot(a, [ROW, ROW]),
    "np.einsum": lambda a: np.einsum("ij,j", a, ROW),
    "np.where": lambda a: np.where([True, False, True], a, ROW),
    "np.maximum": lambda a: np.maximum(a, [0, 9, 1]),
    "np.arctan2": lambda a: np.arctan2(a, ROW),
    "np.clip": lambda a: np.clip(a, [0, 0, 0], [1.5, 2.7, 9.0]),
    "np.concatenate": lambda a: np.concatenate([a, [ROW], a]),
    "np.concatenate-None": lambda a: np.concatenate([a, ROW], axis=None),
    "np.concatenate-tensor": lambda a: np.concatenate(a),
    "np.stack-tensor": lambda a: np.stack(a),
    "np.vstack-tensor": lambda a: np.vstack(a),
    "np.stack-numbers": lambda a: np.stack([a[0, 0], 3.0, a[1, 1]]),
    "np.hstack-numbers": lambda a: np.hstack([a[0], 3.0]),
    "np.column_stack": lambda a: np.column_stack([a[0], ROW]),
    "np.add-tensors": lambda a: np.add([a[0, 0], a[0, 1]], a[0, 2]),
    "integers": lambda a: np.array([1, 2, 3]) * a + np.array([1, 2, 3]) ** a,
    "booleans": lambda a: (a > 2.5) * a,
    "integer tensor": lambda a: Tensor([1, 2, 3]) * a,
    "python numbers": lambda a: 1 - 2 * (3 / a) ** 2 % 100 + True * a,
    "unpacked": lambda a: (lambda p, q: p * q)(*a),
}


@pytest.mark.parametrize("f", LISTS.values(), ids=LISTS)
def test_operands_that_are_not_arrays(f: Any) -> None:
    check_gradient(f, X)


# Keyword arguments of ufuncs and reductions

KEYWORDS = {
    "dtype": lambda a: np.add(a, 1.0, dtype=np.float64),
    "casting": lambda a: np.multiply(a, a, casting="same_kind"),
    "order": lambda a: np.exp(a, order="F"),
    "where-tensor": lambda a: np.sum(a, where=a > 2.5),
    "mean-where-row": lambda a: np.mean(a, axis=0, where=np.array([[True], [True]])),
    "mean-where-all": lambda a: np.mean(a, where=np.array([[True], [False]])),
    "prod-where": lambda a: np.prod(a, axis=0, where=np.array([True, False, True])),
    "max-where": lambda a: np.max(a, axis=0, where=np.array([[True], [False]]), initial=-9.0),
    "sum-dtype": lambda a: np.sum(a, dtype=np.float64),
    "mean-dtype": lambda a: np.mean(a, axis=0, dtype=np.float64),
    "cumsum-dtype": lambda a: np.cumsum(a, axis=-1, dtype=np.float64),
    "var-correction": lambda a: np.var(a, axis=0, correction=1),
    "std-correction": lambda a: np.std(a, axis=-1, correction=1, keepdims=True),
    "concatenate-dtype": lambda a: np.concatenate([a, a], dtype=np.float64),
    "numpy axis": lambda a: np.sum(a, axis=np.int64(1)),
    "clip-a_min": lambda a: np.clip(a, a_min=1.5, a_max=4.6),
    "clip-tensor": lambda a: np.clip(a, a[0, 0] + 0.5, 4.6),
    "clip-None": lambda a: np.clip(a, None, None),
    "reshape-shape": lambda a: np.reshape(a, shape=(3, 2)),
    "roll": lambda a: np.roll(a, shift=(1, 2), axis=(1, 1)),
    "take": lambda a: np.take(a, indices=[0, 0, -1], axis=1),
    "pad": lambda a: np.pad(a, pad_width=1, mode="edge"),
}


@pytest.mark.parametrize("f", KEYWORDS.values(), ids=KEYWORDS)
def test_keyword_arguments(f: Any) -> None:
    check_gradient(f, X)


@pytest.mark.parametrize("order", ["C", "F", "A", "K"])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_orders_that_follow_the_memory_are_right_or_refused(order: str, layout: str) -> None:
    x = np.array(X, order=layout)  # type: ignore[call-overload]
    calls = [lambda a: np.ravel(a, order), lambda a: np.ravel(a.T, order), lambda a: a.flatten(order)]
    if order != "K":
        calls += [lambda a: np.reshape(a, (3, 2), order), lambda a: np.reshape(a * 2, (3, 2), order)]
    for f in calls:
        if order in "CF":
            check_gradient(f, x)
        else:
            with pytest.raises(TypeError, match="memory layout"):
                check_gradient(f, x)


# einsum

EINSUM = {
    "interleaved": lambda a, b: np.einsum(a, [0, 1], b, [2, 1], [0, 2]),
    "interleaved-implicit": lambda a, b: np.einsum(a, [0, 1], b, [2, 1]),
    "interleaved-ellipsis": lambda a, b: np.einsum(a, [..., 0], b, [..., 0], [...]),
    "interleaved-large": lambda a, b: np.einsum(a, [30, 51], b, [30, 51], [51]),
    "same": lambda a, b: np.einsum("ij,ij->i", a, a) + np.einsum("ij->i", b),
    "size-1": lambda a, b: np.einsum("ij,ij->ij", a, b[:1]),
    "size-1-both": lambda a, b: np.einsum("ij,ij->ij", a[:, :1], b[:1]),
    "capital": lambda a, b: np.einsum("aB,cB", a, b),
    "implicit": lambda a, b: np.einsum("Ba,ca", a, b),
    "path": lambda a, b: np.einsum("ij,kj,k", a, b, b[:, 0], optimize=["einsum_path", (0, 1), (0, 1)]),
    "integers": lambda a, b: np.einsum("ij,j,kj->ik", a, np.arange(3), b),
    "ellipsis-implicit": lambda a, b: np.einsum("...a,...a", a, b),
    "ellipsis-moved": lambda a, b: np.einsum("...a->a...", a[None] * b),
    "diagonal": lambda a, b: np.einsum("iij->ij", a[:, :2, None] * b[0]),
    "trace": lambda a, b: np.einsum("ii", a @ b.T),
    "spaces": lambda a, b: np.einsum(" i j , k j -> i k ", a, b),
    "order": lambda a, b: np.einsum("ij,kj", a, b, order="F"),
}


@pytest.mark.parametrize("f", EINSUM.values(), ids=EINSUM)
def test_einsum(f: Any) -> None:
    check_gradient(f, X, X[::-1] + 1)


def test_einsum_of_empty_and_stretched() -> None:
    check_gradient(lambda a, b: np.einsum("...i,...i->...", a, b), np.ones(1), np.ones(0), vacuous=True)
    check_gradient(lambda a, b: np.einsum("ij,jk->ik", a, b), np.ones((2, 0)), np.ones((0, 3)), vacuous=True)


# Other precisions


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
def test_gradients_have_the_precision_of_the_argument(dtype: Any) -> None:
    x = Tensor(np.array([1.0, 2.0], dtype), requires_grad=True)
    np.mean(np.exp(x) * 2 + x**2).backward()
    assert x.grad.dtype == np.dtype(dtype)
    np.testing.assert_allclose(
        x.grad.data.astype(float),
        np.exp([1.0, 2.0]) + np.array([1, 2]),
        rtol=4 * float(np.finfo(dtype).eps) + 1e-15,
    )
