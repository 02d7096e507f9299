"""Where a derivative does not exist, or a formula divides 0 by 0: docs/kinks.md, its table and promises."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy

import tinygrad_edu as tg
from tinygrad_edu import Tensor
from tinygrad_edu.testing import check_gradient

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

PAGE = Path(__file__).parents[2] / "docs" / "kinks.md"
ROW = re.compile(r"\| `(.+?)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \| .+ \|")
ROWS = [row.groups() for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("formula", "at", "gradient", "second"), ROWS, ids=[row[0] for row in ROWS])
def test_table(formula: str, at: str, gradient: str, second: str) -> None:
    names = {"np": np, "scipy": scipy, "nan": np.nan}
    f = eval(f"lambda x: np.sum({formula})", names)  # a line of our own page
    x = np.array(eval(at))
    expected = np.broadcast_to(eval(gradient, names), x.shape)
    np.testing.assert_allclose(tg.grad(f)(x), expected, rtol=1e-14, atol=1e-15)
    bends = tg.hessian(f)(x)
    if x.ndim == 2 and second == "nan":  # of a matrix, in the directions that reach the kink
        assert np.any(np.isnan(bends))
        return
    np.testing.assert_allclose(bends, np.broadcast_to(eval(second, names), np.shape(bends)), atol=1e-14)


def test_every_line_of_the_table_is_read() -> None:
    lines = PAGE.read_text(encoding="utf-8").partition("## ")[0].splitlines()
    assert len(ROWS) == sum(line.startswith("| `") for line in lines) > 30


LENGTHS: dict[str, Any] = {
    "norm": np.linalg.norm,
    "norm of order 3": lambda x: np.linalg.norm(x, 3),
    "norm of a matrix": lambda x: np.linalg.norm(np.outer(x, x + 1)),
    "hypot": lambda x: np.hypot(x[0], x[1]),
    "std": np.std,
    "abs": np.abs,
    "norms of a stack": lambda x: np.linalg.norm(np.stack([x, x + 1]), axis=1),
}


@pytest.mark.parametrize("outer", [np.square, np.cos, np.exp], ids=["square", "cos", "exp"])
@pytest.mark.parametrize("name", LENGTHS)
def test_no_second_derivative_of_a_slope_put_in(name: str, outer: Any) -> None:
    """Towards a kink it is nan, forwards and backwards; away from it, what it was."""
    x = np.zeros(2)

    def f(x: Any) -> Any:
        return np.sum(outer(LENGTHS[name](x)))

    assert np.all(np.isfinite(tg.grad(f)(x)))
    v = np.array([1.0, 0.0])
    assert np.isnan(tg.hvp(f, x, v)[0])
    t = Tensor(x, requires_grad=True)
    f(t).backward(create_graph=True)
    first, t.grad = t.grad, None
    assert first is not None
    first[0].backward()
    assert t.grad is not None
    assert np.isnan(t.grad.numpy()[0])
    check_gradient(f, np.array([0.3, -1.2]))


def test_a_direction_that_does_not_move_the_kink_keeps_its_second_derivative() -> None:
    x = np.array([0.0, 1.0])
    np.testing.assert_array_equal(tg.hvp(lambda x: np.sum(np.abs(x) ** 2), x, np.array([0.0, 1.0])), [0, 2])
    f = lambda m: np.sum(np.linalg.norm(m, axis=1) ** 2)  # noqa: E731
    m, v = np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(tg.hvp(f, m, v), [[0, 0], [2, 0]], atol=1e-15)


def test_standard_deviation_of_equal_numbers_is_at_its_kink_though_the_mean_is_rounded() -> None:
    for x in (np.full(3, 0.1), np.full((4, 7), 1 / 3), np.full(5, np.float32(0.1))):
        np.testing.assert_array_equal(tg.grad(np.std)(x), np.zeros(x.shape))
    np.testing.assert_array_equal(tg.grad(np.nanstd)(np.array([np.nan, 0.1, 0.1, 0.1])), np.zeros(4))
    near = np.array([1.0, 1.0 + 2**-40])
    np.testing.assert_allclose(tg.grad(np.std)(near), [-0.5, 0.5], rtol=1e-3)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_squares_neither_vanish_nor_overflow(size: float) -> None:
    np.testing.assert_allclose(tg.grad(np.arctan2)(size, size), 0.5 / size)
    np.testing.assert_allclose(tg.grad(np.arcsinh)(1e200), 1e-200)
    np.testing.assert_allclose(tg.grad(np.arccosh)(1e200), 1e-200)
    np.testing.assert_allclose(tg.grad(np.hypot)(3 * size, 4 * size), 0.6)
    np.testing.assert_allclose(tg.grad(np.linalg.norm)(np.array([3 * size, 4 * size])), [0.6, 0.8])
    f = lambda x: np.sum(np.linalg.norm(x, axis=1))  # noqa: E731
    x = np.array([[3 * size, 4 * size], [3, 4], [0, 0]])
    np.testing.assert_allclose(tg.grad(f)(x), [[0.6, 0.8], [0.6, 0.8], [0, 0]])
    single = np.array([3, 4], np.float32) * np.float32(1e-22 if size < 1 else 1e22)
    np.testing.assert_allclose(tg.grad(np.linalg.norm)(single), [0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(tg.jit(tg.grad(np.linalg.norm))(np.array([3 * size, 4 * size])), [0.6, 0.8])


@pytest.mark.parametrize("f", [np.max, np.min, np.mean, np.average, np.nanmean, np.nanmax])
def test_counts_are_exact_for_float16(f: Any) -> None:
    found = tg.grad(f)(np.ones(70000, np.float16))
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, np.full(70000, np.float16(1 / 70000)))


ONE_TRIANGLE: dict[str, Any] = {
    "eigvalsh": np.linalg.eigvalsh,
    "eigvalsh of the upper one": lambda a: np.linalg.eigvalsh(a, "U"),
    "eigh": lambda a: np.linalg.eigh(a)[1] ** 2,
    "cholesky": np.linalg.cholesky,
    "cholesky, upper": lambda a: np.linalg.cholesky(a, upper=True),
    "svd": lambda a: np.linalg.svd(a, hermitian=True)[1],
}


@pytest.mark.parametrize("name", ONE_TRIANGLE)
def test_the_triangle_that_is_not_read(name: str) -> None:
    f = ONE_TRIANGLE[name]
    a = np.array([[3.0, 0.5, 0.2], [0.5, 5.0, -0.7], [0.2, -0.7, 9.0]])
    for given in (a, np.tril(a) + np.triu(np.full((3, 3), 0.125), 1)):
        check_gradient(f, given.T if "upper" in name else given, step=1 / 512)
    found = tg.grad(lambda a: np.sum(f(a)))(a)
    assert np.all(np.tril(found, -1) == 0) if "upper" in name else np.all(np.triu(found, 1) == 0)


def test_of_a_function_of_a_matrix_with_coinciding_eigenvalues_nothing_is_guessed() -> None:
    def root(a: Any) -> Any:
        w, v = np.linalg.eigh((a + a.T) / 2)
        return np.sum((v * np.sqrt(w)) @ v.T)

    assert np.all(np.isnan(tg.grad(root)(np.eye(2))))
    rotated, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    assert np.all(np.isnan(tg.grad(root)((rotated * [2, 1, 1]) @ rotated.T)))
    found = tg.grad(lambda a: np.sum(np.linalg.eigvalsh(a) ** 2))(np.eye(2) * 3)
    np.testing.assert_allclose(found, np.eye(2) * 6)


def test_singular_values_of_a_matrix_of_low_rank_to_the_second_order() -> None:
    def f(y: Any) -> Any:
        return np.linalg.norm(np.outer(y, [1.0, 2.0]), "nuc")

    y = np.array([1.0, 2, 3])
    length = np.linalg.norm(y)
    exact = np.sqrt(5) * (np.eye(3) / length - np.outer(y, y) / length**3)
    np.testing.assert_allclose(tg.hessian(f)(y), exact, atol=1e-14)
    np.testing.assert_allclose(tg.hvp(f, y, np.array([2.0, -1, 0])), exact @ [2, -1, 0], atol=1e-14)

    def squares(a):
        return np.sum(np.linalg.svdvals(a) ** 2)

    def product(a):
        u, s, vh = np.linalg.svd(a, full_matrices=False)
        return np.sum((u * s) @ vh)

    assert np.all(np.isnan(tg.hessian(squares)(np.outer([1.0, 2], [1.0, 2]))))
    assert np.all(np.isnan(tg.grad(product)(np.outer(y, [1.0, 2]))))


PADS: list[dict[str, Any]] = [
    *({"mode": mode} for mode in ("mean", "maximum", "minimum", "median", "linear_ramp")),
    *({"mode": mode, "stat_length": 2} for mode in ("mean", "maximum", "minimum", "median")),
    {"mode": "median", "stat_length": ((1, 2), (2, 3))},
    {"mode": "linear_ramp", "end_values": ((1.0, 2.0), (3.0, 4.0))},
    *({"mode": mode, "reflect_type": "odd"} for mode in ("reflect", "symmetric")),
]


@pytest.mark.parametrize("how", PADS, ids=str)
def test_every_mode_of_pad(how: Any) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4))
    check_gradient(lambda x: np.pad(x, ((1, 2), (3, 0)), **how), x)
    check_gradient(lambda x: np.pad(x, 7, **how), x)


def test_pad_with_a_function_is_refused_when_it_is_called() -> None:
    with pytest.raises(TypeError, match=r"np\.concatenate"):
        np.pad(Tensor([1.0, 2.0], requires_grad=True), 1, lambda *lane: None)


def test_numbers_have_an_axis_for_some_reductions() -> None:
    for f in (np.prod, np.sum, np.max, np.min, np.cumsum, np.cumprod, np.ptp):
        for axis in (0, -1):
            expected = 0 if f is np.ptp else 1
            assert tg.grad(lambda v, f=f, axis=axis: np.sum(f(v, axis=axis)))(2.0) == expected


def test_insert_of_several_values_at_one_place() -> None:
    x, values = np.arange(3.0), np.array([7.0, 8.0])
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(np.insert(x, 1, [7.0, 8.0]) ** 2))(x), 2 * x)
    check_gradient(lambda x, v: np.insert(x, 1, v), x, values)
    check_gradient(lambda x, v: np.insert(x, 1, v, axis=1), np.ones((2, 3)), np.ones((2, 2)))


def test_quantiles_at_places_among_which_is_a_tensor() -> None:
    x = Tensor([1.0, 2.0, 4.0], requires_grad=True)
    np.testing.assert_array_equal(np.quantile(x, [0.25, Tensor(0.5)]).numpy(), [1.5, 2])
    with pytest.raises(TypeError, match="detach"):
        np.quantile(x, [0.25, Tensor(0.5, requires_grad=True)])
