"""Where derivatives do not exist, or formulas divide by zero: each test names what is taken instead."""

import math
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import NoGradientRule, Tensor


def slopes(f: Any, *args: Any) -> Any:
    """Return the gradients of the sum of a function, in both modes of the backward pass, which must agree."""
    found = []
    for create_graph in (False, True):
        tensors = [Tensor(np.array(x, float), requires_grad=True) for x in args]
        np.sum(f(*tensors)).backward(create_graph=create_graph)
        found.append([np.zeros(t.shape) if t.grad is None else t.grad.numpy() for t in tensors])
    for plain, graph in zip(*found, strict=True):
        np.testing.assert_array_equal(plain, graph)
    return found[0][0] if len(args) == 1 else found[0]


def curvature(f: Any, x: Any) -> Any:
    """Return the gradient of the sum of the gradient."""
    t = Tensor(np.array(x, float), requires_grad=True)
    np.sum(f(t)).backward(create_graph=True)
    first, t.grad = t.grad, None
    assert first is not None
    if first.requires_grad:
        np.sum(first).backward()
    return np.zeros(t.shape) if t.grad is None else t.grad.numpy()


def assert_equal(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


# norms, roots and spreads at zero

VECTOR_ORDERS = [None, 0.5, 1, 2, 2.5, 3, math.inf, -math.inf]
MATRIX_ORDERS = [None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf]


@pytest.mark.parametrize("order", VECTOR_ORDERS)
def test_norm_of_the_zero_vector_has_gradient_zero(order: Any) -> None:
    assert_equal(slopes(lambda x: np.linalg.norm(x, order), np.zeros(3)), np.zeros(3))
    assert_equal(slopes(lambda x: np.linalg.norm(x, order, axis=1), np.zeros((2, 3))), np.zeros((2, 3)))
    if order not in (math.inf, -math.inf):  # a slope put in is not differentiated again
        assert np.all(np.isnan(curvature(lambda x: np.linalg.norm(x, order), np.zeros(3))))


def test_norm_of_order_zero_counts_elements_and_has_no_gradient() -> None:
    assert not np.linalg.norm(Tensor([1.0, 0.0], requires_grad=True), 0).requires_grad


@pytest.mark.parametrize("order", MATRIX_ORDERS)
def test_norm_of_the_zero_matrix_has_a_finite_gradient(order: Any) -> None:
    found = slopes(lambda x: np.linalg.norm(x, order), np.zeros((2, 3)))
    assert np.all(np.isfinite(found))
    if order not in ("nuc", 2, -2):
        assert_equal(found, np.zeros((2, 3)))


@pytest.mark.parametrize("order", [0.5, 1, 2, 3])
def test_norm_with_a_zero_among_others_has_no_nan(order: Any) -> None:
    found = slopes(lambda x: np.linalg.norm(x, order), [3.0, 0.0, -4.0])
    assert np.all(np.isfinite(found))
    assert found[1] == 0


@pytest.mark.parametrize("f", [np.std, np.var, np.nanstd, np.nanvar])
def test_spread_of_equal_elements_has_gradient_zero(f: Any) -> None:
    assert_equal(slopes(f, [2.0, 2.0, 2.0]), np.zeros(3))
    assert_equal(slopes(lambda x: f(x, axis=0), np.full((3, 2), 0.5)), np.zeros((3, 2)))


@pytest.mark.parametrize("f", [np.sqrt, np.cbrt, lambda x: x**0.5, lambda x: np.power(x, 0.25)])
def test_infinite_slope_of_a_root_at_zero_is_infinite_and_warned_of(f: Any) -> None:
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        found = slopes(f, [0.0, 1.0])
    assert found[0] == math.inf
    assert 0 < found[1] < 1


def test_absolute_value_and_sign_at_zero_have_slope_zero() -> None:
    assert_equal(slopes(np.abs, [0.0, -1.0]), [0, -1])
    assert_equal(slopes(np.fabs, [0.0]), [0])
    assert_equal(slopes(np.sign, [0.0, 2.0]), [0, 0])


def test_hypot_and_arctan2_at_the_origin_have_gradient_zero() -> None:
    for f in (np.hypot, np.arctan2):
        for got in slopes(f, [0.0, 0.0], [0.0, 1.0]):
            assert np.all(np.isfinite(got))
            assert got[0] == 0


# powers


def test_power_zero_is_constant_also_of_zero() -> None:
    for f in (lambda x: x**0, lambda x: x**0.0, lambda x: np.power(x, 0.0), lambda x: np.float_power(x, 0)):
        assert_equal(slopes(f, [0.0, 2.0, -1.0]), [0, 0, 0])
        assert_equal(curvature(f, [0.0, 2.0, -1.0]), [0, 0, 0])


def test_power_one_and_two_at_zero_have_their_usual_slopes() -> None:
    for one in (1, 1.0, np.float64(1)):
        assert_equal(slopes(lambda x, p=one: np.power(x, p), [0.0, 3.0]), [1, 1])
        assert_equal(slopes(lambda x, p=one: np.power(x, 2 * p), [0.0, 3.0]), [0, 6])
        assert_equal(curvature(lambda x, p=one: np.power(x, 2 * p), [0.0, 3.0]), [2, 2])
        assert_equal(curvature(lambda x, p=one: np.power(x, 3 * p), [0.0, 3.0]), [0, 18])


def test_exponent_of_base_zero_has_no_influence() -> None:
    base, exponent = slopes(np.power, [0.0, 0.0, 2.0], [2.0, 0.0, 3.0])
    assert_equal(base, [0, 0, 12])
    assert_equal(exponent, [0, 0, 8 * math.log(2)])


# determinants and products with zeros


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_gradient_of_the_determinant_of_a_singular_matrix_is_its_cofactors(rank: int) -> None:
    a = np.array([[1.0, 2, 3], [2, 4, 6], [1, 0, 1]]) if rank == 2 else np.ones((3, 3)) * rank
    minors = [[np.delete(np.delete(a, i, 0), j, 1) for j in range(3)] for i in range(3)]
    cofactors = [[(-1) ** (i + j) * (m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]) for j, m in enumerate(row)]
                 for i, row in enumerate(minors)]  # fmt: skip
    np.testing.assert_allclose(slopes(np.linalg.det, a), cofactors, atol=1e-13)


def test_second_derivative_of_the_determinant_of_a_singular_matrix_is_refused() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        curvature(np.linalg.det, np.zeros((2, 2)))


def test_product_with_zeros_has_the_product_of_the_others() -> None:
    assert_equal(slopes(np.prod, [0.0, 2.0, 3.0]), [6, 0, 0])
    assert_equal(slopes(np.prod, [0.0, 0.0, 3.0]), [0, 0, 0])
    assert_equal(curvature(np.prod, [0.0, 0.0, 3.0]), [3, 3, 0])
    assert_equal(curvature(np.prod, [0.0, 0.0, 0.0]), [0, 0, 0])
    assert_equal(slopes(np.nanprod, [0.0, 2.0, np.nan]), [2, 0, 0])
    assert_equal(slopes(np.cumprod, [0.0, 2.0, 3.0]), [1 + 2 + 6, 0, 0])
    assert_equal(curvature(np.cumprod, [0.0, 0.0, 3.0]), [1 + 3, 1 + 3, 0])


def test_sinc_at_zero_to_the_fourth_order() -> None:
    """Its series is 1 - (pi x)**2 / 6 + (pi x)**4 / 120 - ..."""
    x = Tensor(np.array([0.0, 1e-9]), requires_grad=True)
    f = np.sinc(x)
    for expected in (0, -(math.pi**2) / 3, 0, math.pi**4 / 5):
        x.grad = None
        np.sum(f).backward(create_graph=True)
        f = x.grad
        np.testing.assert_allclose(f.numpy(), [expected, expected], rtol=1e-12, atol=1e-6)
        assert f.numpy()[0] == pytest.approx(expected, rel=1e-14)


# infinities


@pytest.mark.parametrize("f", [np.logaddexp, np.logaddexp2])
def test_sum_of_two_exponentials_that_are_zero_has_finite_gradient(f: Any) -> None:
    infinite = math.inf
    a, b = slopes(f, [-infinite, -infinite, 0.0, 700.0], [-infinite, 0.0, -infinite, -700.0])
    assert np.all(np.isfinite(a))
    assert np.all(np.isfinite(b))
    assert_equal(a[1:], [0, 1, 1])
    assert_equal(b[1:], [1, 0, 0])


def test_clip_passes_half_the_gradient_at_a_bound() -> None:
    assert_equal(slopes(lambda x: np.clip(x, 0, 1), [-1.0, 0.0, 0.5, 1.0, 2.0]), [0, 0.5, 1, 0.5, 0])
    x, low, high = slopes(np.clip, [0.0, 1.0, 0.5], [0.0] * 3, [1.0] * 3)
    assert_equal(x, [0.5, 0.5, 1])
    assert_equal(low, [0.5, 0, 0])
    assert_equal(high, [0, 0.5, 0])


def test_clip_with_infinite_bounds_is_the_identity() -> None:
    assert_equal(slopes(lambda x: np.clip(x, -np.inf, np.inf), [-5.0, 0.0, 7.0]), [1, 1, 1])
    assert np.all(np.isfinite(slopes(lambda x: np.clip(x, -np.inf, np.inf), [np.inf, 0.0])))


# ties and nan


@pytest.mark.parametrize("f", [np.max, np.min, np.nanmax, np.nanmin, np.amax])
def test_tie_in_max_and_min_shares_equally(f: Any) -> None:
    assert_equal(slopes(f, [3.0, 3.0, 3.0]), np.ones(3) / 3)
    assert_equal(slopes(lambda x: f(x, axis=0), [[1.0, 2.0], [1.0, 2.0]]), np.full((2, 2), 0.5))


@pytest.mark.parametrize("f", [np.maximum, np.minimum, np.fmax, np.fmin])
def test_tie_of_two_shares_equally(f: Any) -> None:
    a, b = slopes(f, [1.0], [1.0])
    assert_equal([a, b], [[0.5], [0.5]])


@pytest.mark.parametrize("f", [np.median, np.nanmedian, lambda x: np.quantile(x, 0.3), np.ptp])
def test_ties_in_order_statistics_lose_no_gradient(f: Any) -> None:
    found = slopes(f, [2.0, 2.0, 2.0, 2.0])
    assert np.all(np.isfinite(found))
    assert_equal(np.sum(found), 0 if f is np.ptp else 1)


def test_gradient_of_a_maximum_that_is_nan_goes_to_the_nan() -> None:
    assert_equal(slopes(np.max, [1.0, np.nan, 2.0]), [0, 1, 0])
    assert_equal(slopes(np.min, [np.nan, np.nan, 2.0]), [0.5, 0.5, 0])


def test_maximum_of_a_number_and_nan_is_nan_without_a_gradient_and_fmax_is_the_number() -> None:
    a, b = slopes(np.maximum, [1.0, np.nan], [np.nan, 1.0])
    assert_equal([a, b], np.zeros((2, 2)))
    a, b = slopes(np.fmax, [1.0, np.nan], [np.nan, 1.0])
    assert_equal([a, b], [[1, 0], [0, 1]])


@pytest.mark.parametrize(
    "f", [np.nansum, np.nanmean, np.nanprod, np.nanmax, np.nanmin, np.nanvar, np.nanstd, np.nanmedian]
)
def test_nan_that_is_ignored_gets_gradient_zero(f: Any) -> None:
    found = slopes(f, [1.0, np.nan, 2.0, 4.0])
    assert found[1] == 0
    assert_equal(found[[0, 2, 3]], slopes({np.nansum: np.sum, np.nanmean: np.mean, np.nanprod: np.prod,
        np.nanmax: np.max, np.nanmin: np.min, np.nanvar: np.var, np.nanstd: np.std,
        np.nanmedian: np.median}[f], [1.0, 2.0, 4.0]))  # fmt: skip


@pytest.mark.filterwarnings("ignore:All-NaN")
@pytest.mark.parametrize("f", [np.nanmax, np.nanmin, np.nansum, np.nanprod, np.nanmedian])
def test_ignoring_every_element_leaves_no_gradient_for_any(f: Any) -> None:
    assert_equal(slopes(lambda x: np.nan_to_num(f(x)), [np.nan, np.nan]), [0, 0])


def test_quantile_of_nan_is_nan_and_gets_no_gradient() -> None:
    x = Tensor([1.0, np.nan, 2.0], requires_grad=True)
    y = np.quantile(x, 0.5)
    assert np.isnan(y.data)
    assert_equal(slopes(lambda x: np.quantile(x, 0.5), [1.0, np.nan, 2.0]), [0, 0, 0])


def test_nan_to_num_gives_what_it_replaced_no_gradient() -> None:
    assert_equal(slopes(np.nan_to_num, [np.nan, np.inf, -np.inf, 2.0]), [0, 0, 0, 1])


def test_where_keeps_an_infinite_slope_of_the_branch_not_taken_out() -> None:
    assert_equal(slopes(lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0), [0.0, 2.0]), [0, 0.5])


# nothing at all


EMPTY = [np.sum, np.prod, np.nansum, np.nanprod, np.cumsum, np.cumprod, np.sort, np.diff, np.ediff1d]


@pytest.mark.parametrize("f", [*EMPTY, np.linalg.norm, np.unique, np.ravel, np.trace])
def test_empty_arrays_have_empty_gradients(f: Any) -> None:
    shape = (0, 0) if f is np.trace else (0,)
    assert slopes(f, np.zeros(shape)).shape == shape


def test_reducing_no_elements_to_several_results_works() -> None:
    for f in (np.sum, np.prod, np.nansum):
        assert slopes(lambda x, f=f: f(x, axis=1), np.zeros((3, 0))).shape == (3, 0)
    for f in (np.max, np.median, np.std, np.mean):
        assert slopes(lambda x, f=f: f(x, axis=1), np.zeros((0, 3))).shape == (0, 3)


def test_products_over_no_elements_are_zero_with_empty_gradients() -> None:
    for f, of_a, of_b in ((np.matmul, (2, 0), (0, 3)), (np.dot, (0,), (0,)), (np.kron, (2, 0), (3,))):
        a, b = slopes(f, np.zeros(of_a), np.zeros(of_b))
        assert_equal(a, np.zeros(of_a))
        assert_equal(b, np.zeros(of_b))


# coinciding values


def test_eigenvalues_that_coincide_have_finite_gradients_and_their_vectors_have_none() -> None:
    assert np.all(np.isfinite(slopes(lambda a: np.linalg.eigvalsh(a), np.eye(3))))
    assert np.all(np.isfinite(slopes(lambda a: np.linalg.svdvals(a), np.eye(3))))
    assert np.all(np.isnan(slopes(lambda a: np.linalg.eigh(a)[1], np.eye(3))))
    assert np.all(np.isnan(slopes(lambda a: np.linalg.svd(a)[0], np.eye(3))))


def test_a_constant_row_leaves_no_surprise_in_a_covariance() -> None:
    assert_equal(slopes(lambda m: np.cov(m)[0, 0], [[1.0, 1.0, 1.0], [1.0, 2.0, 4.0]]), np.zeros((2, 3)))


def test_leading_zeros_of_polynomials_are_cut_off_where_numpy_does() -> None:
    p, q = np.array([0.0, 0.0, 1.0, 2.0]), np.array([0.0, 3.0])
    got = np.polymul(Tensor(p, requires_grad=True), Tensor(q, requires_grad=True))
    np.testing.assert_array_equal(got.numpy(), np.polymul(p, q))


def test_bessel_function_i0_where_exponentials_are_large() -> None:
    x = np.array([-30.0, 0.0, 5.0, 60.0])
    assert_equal(slopes(lambda x: np.log(np.i0(x)), x)[1], 0)
    np.testing.assert_allclose(np.i0(Tensor(x, requires_grad=True)).numpy(), np.i0(x), rtol=1e-15)


# what is refused


@pytest.mark.parametrize("call", [
    lambda x: np.put(x, [0], 1.0), lambda x: np.place(x, [True, False], [1.0]), lambda x: np.copyto(x, 1.0),
    lambda x: np.putmask(x, [True, False], 1.0), lambda x: np.fill_diagonal(x, 1.0),
    lambda x: np.put_along_axis(x, np.array([0]), 1.0, 0),
])  # fmt: skip
def test_changing_in_place_is_refused_and_says_what_to_write(call: Any) -> None:
    with pytest.raises(NoGradientRule, match=r"x\.at\[index\]\.set"):
        call(Tensor([1.0, 2.0], requires_grad=True))


@pytest.mark.parametrize("f", [np.linalg.eig, np.linalg.eigvals, np.fft.fft, np.fft.irfft, np.roots])
def test_complex_results_are_refused_by_name(f: Any) -> None:
    with pytest.raises(NoGradientRule, match="real numbers so far"):
        f(Tensor(np.eye(2), requires_grad=True))


def test_a_quantile_that_needs_a_gradient_itself_is_refused() -> None:
    with pytest.raises(TypeError, match="detach"):
        np.quantile(Tensor([1.0, 2.0]), Tensor(0.5, requires_grad=True))


def test_the_determinant_of_what_is_not_finite_has_gradient_nan() -> None:
    broken = np.array([[np.inf, 0.5, -0.6], [1.1, -0.9, -0.3], [0.5, -0.9, 2.6]])
    stack = np.stack([broken, np.eye(3)])
    with np.errstate(all="ignore"):
        found = slopes(np.linalg.det, stack)
    assert np.all(np.isnan(found[0]))
    assert_equal(found[1], np.eye(3))
