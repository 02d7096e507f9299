"""How exact activations, losses and their gradients are: against mpmath, over the whole range of floats.

An error is counted in units in the last place (ulp) of what mpmath finds with 60 digits. `BOUNDS` is the
table of docs/reliability.md, which also says why some bounds are larger.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor, nn, special
from tinygrad_edu.nn import activations, losses

mp = pytest.importorskip("mpmath")

both_precisions = pytest.mark.parametrize("dtype", [np.float32, np.float64])

BOUNDS: dict[str, tuple[float, float]] = {  # of the value, of the gradient
    "linear": (0, 0),
    "relu": (0, 0),
    "leaky_relu": (1, 0),
    "sigmoid": (4, 5),
    "tanh": (4, 5),
    "softplus": (4, 4),
    "softmax": (4, 4),
    "log_softmax": (4, 4),
    "logsumexp": (4, 4),
    "sigmoid_cross_entropy": (4, 4),
    "softmax_cross_entropy": (4, 4),
    "binary_crossentropy": (4, 4),
    "categorical_crossentropy": (4, 4),
    "mean_squared_error": (4, 4),
    "mean_absolute_error": (4, 4),
}


@pytest.fixture(autouse=True)
def _sixty_digits() -> Any:
    with mp.workdps(60):
        yield


def test_the_table_of_bounds_is_the_one_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")
    for name, (value, gradient) in BOUNDS.items():
        assert f"| `{name}` | {value} | {gradient} |" in text
    same = {"sparse_categorical_crossentropy", "mse", "MSE", "mae", "MAE"}  # as others in the table
    assert {*activations.ACTIVATIONS, *losses.LOSSES} - same <= set(BOUNDS)


def exact(x: Any) -> Any:
    """Return a float as the same number of mpmath's."""
    return mp.mpf(float(x))


def ulps(found: Any, wanted: Any, scale: Any = 0) -> float:
    """Return how far a float is from a number of mpmath's, in ulp of that number, or of `scale` if larger."""
    dtype = found.dtype.type
    largest = np.finfo(dtype).max
    if abs(wanted) >= exact(largest):
        return 0.0 if abs(found) >= largest and found * wanted > 0 else np.inf
    last = np.spacing(dtype(float(max(abs(wanted), abs(scale)))))
    return float(abs(exact(found) - wanted) / exact(last))


def numbers(dtype: Any, infinite: bool = True) -> Any:
    """Return numbers of all sizes and both signs, more of them where exp(-x) is neither 0 nor 1."""
    rng, limits = np.random.default_rng(0), np.finfo(dtype)
    anywhere = np.exp(rng.uniform(np.log(float(limits.tiny)), np.log(float(limits.max)), 50))
    bends = rng.uniform(0, -1.1 * np.log(float(limits.smallest_subnormal)), 100)
    ends = [0, limits.smallest_subnormal, limits.tiny, limits.max] + [np.inf] * infinite
    x = np.concatenate([anywhere, bends, rng.uniform(0, 20, 100), ends])
    return np.concatenate([x, -x]).astype(dtype)


def run(f: Callable[..., Any], x: Any, *more: Any) -> tuple[Any, Any]:
    """Return f(x, *more) and the gradient of its sum with respect to x, as arrays."""
    tensor = Tensor(x, requires_grad=True)
    y = f(tensor, *more)
    y.backward(np.ones_like(y.data))
    return y.data, tensor.grad.data


# Element by element ----------------------------------------------------------------------------------------


def logistic(z: Any) -> Any:
    return 1 / (1 + mp.exp(-z)) if z >= 0 else mp.exp(z) / (1 + mp.exp(z))


def log1pexp(z: Any) -> Any:
    return max(z, mp.mpf(0)) + mp.log1p(mp.exp(-abs(z)))


ELEMENTWISE: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "linear": (lambda z: z, lambda z: mp.mpf(1)),
    "relu": (lambda z: max(z, mp.mpf(0)), lambda z: mp.mpf(z > 0)),
    "leaky_relu": (lambda z, s: z if z > 0 else s * z, lambda z, s: mp.mpf(1) if z > 0 else s),
    "sigmoid": (logistic, lambda z: logistic(z) * logistic(-z)),
    "tanh": (mp.tanh, lambda z: 4 * logistic(2 * z) * logistic(-2 * z)),
    "softplus": (log1pexp, logistic),
}


@both_precisions
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_activations(name: str, dtype: Any) -> None:
    slope = [exact(dtype(0.1))] if name == "leaky_relu" else []
    z = numbers(dtype)
    for found, formula, bound in zip(
        run(activations.get(name), z), ELEMENTWISE[name], BOUNDS[name], strict=True
    ):
        errors = [ulps(y, formula(exact(x), *slope)) for x, y in zip(z, found, strict=True)]
        assert max(errors) <= bound, z[np.argmax(errors)]


@both_precisions
def test_sigmoid_cross_entropy(dtype: Any) -> None:
    for label in map(dtype, (0, 1, 0.3, 0.999, 1e-6)):
        y = exact(label)
        for z in numbers(dtype):
            value, gradient = run(nn.sigmoid_cross_entropy, np.array([z]), np.array([label]))
            x = exact(z)
            wanted = (y * log1pexp(-x) if y else 0) + ((1 - y) * log1pexp(x) if y < 1 else 0)
            up, down = (1 - y) * logistic(x), y * logistic(-x)
            assert ulps(value, wanted) <= BOUNDS["sigmoid_cross_entropy"][0], (z, label)
            assert ulps(gradient[0], up - down, max(up, down)) <= BOUNDS["sigmoid_cross_entropy"][1], (
                z,
                label,
            )


@both_precisions
def test_binary_crossentropy_of_probabilities(dtype: Any) -> None:
    rng, limits = np.random.default_rng(0), np.finfo(dtype)
    small = np.exp(rng.uniform(np.log(float(limits.tiny)), 0, 60))
    p = np.concatenate([rng.uniform(0, 1, 60), small, 1 - small]).astype(dtype)
    for label in map(dtype, (0, 1, 0.3)):
        y = exact(label)
        for number in p[(p > 0) & (p < 1)]:
            value, gradient = run(partial(nn.binary_crossentropy, np.array([label])), np.array([number]))
            x = exact(number)
            up, down = (1 - y) / (1 - x), y / x
            wanted = -y * mp.log(x) - (1 - y) * mp.log1p(-x)
            assert ulps(value, wanted) <= BOUNDS["binary_crossentropy"][0], (number, label)
            assert ulps(gradient[0], up - down, max(up, down)) <= BOUNDS["binary_crossentropy"][1]


@both_precisions
@pytest.mark.filterwarnings("ignore:overflow")  # of what is infinite in the type
def test_mean_errors(dtype: Any) -> None:
    p = numbers(dtype, infinite=False)
    for y, number in zip(np.random.default_rng(0).permutation(p), p, strict=True):
        d = exact(number) - exact(y)
        for name, value, slope in (
            ("mean_squared_error", d * d, 2 * d),
            ("mean_absolute_error", abs(d), mp.sign(d)),
        ):
            found, gradient = run(partial(losses.get(name), np.array([y])), np.array([number]))
            assert ulps(found, value) <= BOUNDS[name][0], (y, number)
            assert ulps(gradient[0], slope) <= BOUNDS[name][1], (y, number)


# Rows of logits --------------------------------------------------------------------------------------------


def logits(dtype: Any) -> Any:
    """Return rows whose largest logit leads by a little or by very much; some classes are masked."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 4)) * np.exp(rng.uniform(-3, 6, (60, 1)))
    z[::7, 2] = -np.inf
    return z.astype(dtype)


def column(z: Any, f: Any, k: int) -> Any:
    return f(z)[:, k]


class Row:
    """What mpmath finds for a row of logits: probabilities, 1 less those, logarithms, and their sum's."""

    def __init__(self, z: Any) -> None:
        self.top = max(map(exact, z))
        powers = [mp.exp(exact(x) - self.top) for x in z]
        total = mp.fsum(powers)
        self.p = [power / total for power in powers]
        self.rest = [mp.fsum(q for j, q in enumerate(self.p) if j != k) for k in range(len(z))]
        self.logs = [mp.log(p) if p < 0.5 else mp.log1p(-q) for p, q in zip(self.p, self.rest, strict=True)]
        self.logsumexp = self.top + mp.log(total)
        # z - max z is rounded, which changes a power by as much as that difference times half an ulp
        self.rounded = [0 if np.isinf(x) else abs(float(exact(x) - self.top)) for x in z]


@both_precisions
@pytest.mark.parametrize("f", [nn.softmax, lambda z: special.softmax(z, -1)])
def test_softmax(f: Any, dtype: Any) -> None:
    check_columns(f, dtype, "softmax", lambda row, k: (row.p[k], row.rounded[k], row.p[k]))


@both_precisions
@pytest.mark.parametrize("f", [nn.log_softmax, lambda z: special.log_softmax(z, -1)])
def test_log_softmax(f: Any, dtype: Any) -> None:
    check_columns(f, dtype, "log_softmax", lambda row, k: (row.logs[k], max(row.rounded), 1))


def check_columns(f: Any, dtype: Any, name: str, wanted: Any) -> None:
    """Check each column of f and its gradient: `wanted` gives the value, its slack, the gradient's factor."""
    z = logits(dtype)
    for k in range(4):
        values, gradients = run(column, z, f, k)
        for row, value, gradient in zip(map(Row, z), values, gradients, strict=True):
            exact_value, slack, factor = wanted(row, k)
            assert ulps(value, exact_value) <= BOUNDS[name][0] + slack
            for j in range(4):
                slope = factor * (row.rest[k] if j == k else -row.p[j])
                assert ulps(gradient[j], slope) <= BOUNDS[name][1] + 2 * max(row.rounded)


@both_precisions
def test_logsumexp(dtype: Any) -> None:
    z = logits(dtype)
    values, gradients = run(lambda z: special.logsumexp(z, -1), z)
    for row, value, gradient in zip(map(Row, z), values, gradients, strict=True):
        assert ulps(value, row.logsumexp, row.top) <= BOUNDS["logsumexp"][0]
        for j in range(4):
            assert ulps(gradient[j], row.p[j]) <= BOUNDS["logsumexp"][1] + row.rounded[j]


@both_precisions
@pytest.mark.parametrize("one_hot", [False, True])
def test_softmax_cross_entropy_to_a_few_ulp_of_one(one_hot: bool, dtype: Any) -> None:
    for z in logits(dtype):
        row = Row(z)
        for k in range(4):
            label = np.eye(4, dtype=dtype)[[k]] if one_hot else [k]
            value, gradient = run(nn.softmax_cross_entropy, z[None], label)
            assert ulps(value, -row.logs[k], 1) <= BOUNDS["softmax_cross_entropy"][0]
            for j in range(4):
                wanted = -row.rest[k] if j == k else row.p[j]
                assert ulps(gradient[0, j], wanted, 1) <= BOUNDS["softmax_cross_entropy"][1]


@both_precisions
def test_categorical_crossentropy_of_probabilities(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    for p in rng.dirichlet(np.full(3, 0.1), 60).astype(dtype):
        for k in np.flatnonzero(p >= np.finfo(dtype).tiny):
            label = np.eye(3, dtype=dtype)[[k]]
            value, gradient = run(partial(nn.categorical_crossentropy, label), p[None])
            assert value == nn.sparse_categorical_crossentropy([k], p[None])
            assert ulps(value, -mp.log(exact(p[k]))) <= BOUNDS["categorical_crossentropy"][0]
            assert ulps(gradient[0, k], -1 / exact(p[k])) <= BOUNDS["categorical_crossentropy"][1]


# Infinities, NaN and zero ----------------------------------------------------------------------------------

MASKED = np.array([[1.0, 2.0, -np.inf]])
COST, P = np.log(1 + np.exp(1.0)), 1 / (1 + np.exp(1.0))


@pytest.mark.parametrize(
    "loss",
    [
        lambda z: nn.softmax_cross_entropy(z, [0]),
        lambda z: nn.softmax_cross_entropy(z, np.array([[1.0, 0.0, 0.0]])),
        lambda z: nn.sparse_categorical_crossentropy([0], z, from_logits=True),
        lambda z: nn.sparse_categorical_crossentropy([0], nn.softmax(z)),
        lambda z: nn.categorical_crossentropy(np.array([[1.0, 0.0, 0.0]]), nn.softmax(z)),
        lambda z: nn.categorical_crossentropy(np.array([[1.0, 0.0, 0.0]]), special.softmax(z, -1)),
        lambda z: -nn.log_softmax(z)[0, 0],
        lambda z: special.logsumexp(z, -1)[0] - z[0, 0],
    ],
)
def test_a_masked_class_costs_nothing(loss: Any) -> None:
    value, gradient = run(loss, MASKED)
    np.testing.assert_allclose(value, COST)
    np.testing.assert_allclose(gradient, [[P - 1, 1 - P, 0]])
    captured = tg.jit(tg.value_and_grad(loss))
    captured(MASKED)
    for found, wanted in zip(captured(MASKED), (value, gradient), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_an_example_of_a_masked_class_costs_the_largest_number() -> None:
    value, gradient = run(lambda z: nn.softmax_cross_entropy(z, [2]), MASKED)
    assert value == np.finfo(float).max
    np.testing.assert_allclose(gradient, [[P, 1 - P, -1]])


class Mask(nn.Layer):
    def call(self, z: Any) -> Any:
        return z + np.array([0, 0, -np.inf], np.float32)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "softmax_cross_entropy"])
@pytest.mark.parametrize("run_eagerly", [True, False])
def test_training_and_evaluating_with_a_masked_class(loss: str, run_eagerly: bool) -> None:
    last = [nn.Activation("softmax")] if loss.startswith("categorical") else []
    model = nn.Sequential([nn.Dense(3, input_dim=2), Mask(), *last], seed=0)
    model.compile(nn.SGD(0.5), loss, run_eagerly=run_eagerly)
    x, y = np.array([[0, 1], [1, 0]] * 4, np.float32), np.eye(3, dtype=np.float32)[[0, 1] * 4]
    history = model.fit(x, y, epochs=3, batch_size=4, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < history[0]
    assert np.isfinite(model.evaluate(x, y, verbose=0)).all()


def test_the_largest_logits_there_are() -> None:
    largest = np.finfo(np.float32).max
    for other in (0, largest, -np.inf):
        value, gradient = run(
            lambda z: nn.softmax_cross_entropy(z, [0]), np.array([[largest, other]], np.float32)
        )
        assert value == (np.float32(np.log(2)) if other == largest else 0)
        assert gradient.tolist() == ([[-0.5, 0.5]] if other == largest else [[0, 0]])
    with np.errstate(over="ignore"):  # of their difference
        z = np.array([[largest, -largest]], np.float32)
        assert nn.softmax_cross_entropy(z, [0]) == 0
        assert nn.softmax_cross_entropy(z, [1]) == largest


def test_sigmoid_cross_entropy_at_infinity() -> None:
    z, y = np.array([np.inf, -np.inf]), np.array([1.0, 0.0])
    value, gradient = run(lambda z: nn.sigmoid_cross_entropy(z, y), z)
    assert (value, gradient.tolist()) == (0, [0, 0])
    value, gradient = run(lambda z: nn.sigmoid_cross_entropy(z, 1 - y), z)
    assert (value, gradient.tolist()) == (np.inf, [0.5, -0.5])


@pytest.mark.parametrize("b", [None, np.ones(2)])
def test_logsumexp_of_nothing(b: Any) -> None:
    value, gradient = run(lambda z: special.logsumexp(z, b=b), np.array([-np.inf, -np.inf]))
    assert (value, gradient.tolist()) == (-np.inf, [0, 0])


def test_logaddexp_at_infinity() -> None:
    a, b = np.array([np.inf, -np.inf, -np.inf, 1.0]), np.array([0.0, -np.inf, 0.0, -np.inf])
    for f in (np.logaddexp, np.logaddexp2):
        assert run(lambda a, f=f: f(a, b), a)[1].tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("name", sorted(activations.ACTIVATIONS))
@pytest.mark.filterwarnings("ignore:invalid value encountered in logaddexp")
def test_nan_stays_nan_and_so_does_its_gradient(name: str) -> None:
    value, gradient = run(activations.get(name), np.array([np.nan]))
    assert np.isnan(value)
    assert np.isnan(gradient) or name == "linear"


PERFECT = np.array([[1.0, 0.0]])


@pytest.mark.parametrize(
    "loss",
    [
        lambda: nn.softmax_cross_entropy(PERFECT * 1000, [0]),
        lambda: nn.softmax_cross_entropy(PERFECT * 1000, PERFECT),
        lambda: nn.sigmoid_cross_entropy(PERFECT * 2000 - 1000, PERFECT),
        lambda: nn.binary_crossentropy(PERFECT, PERFECT),
        lambda: nn.categorical_crossentropy(PERFECT, PERFECT),
        lambda: nn.sparse_categorical_crossentropy([0], PERFECT),
        lambda: nn.categorical_crossentropy(np.ones((1, 1)), np.ones((1, 1))),
        lambda: nn.mean_squared_error(PERFECT, PERFECT),
        lambda: nn.mean_absolute_error(PERFECT, PERFECT),
    ],
)
def test_the_loss_of_perfect_predictions_is_zero_and_not_minus_zero(loss: Any) -> None:
    assert loss() == 0
    assert not np.signbit(loss())


# Gradients that are small, and not nothing -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "z", "slope"),
    [
        (nn.sigmoid, [38.0], [3.139133e-17]),
        (nn.tanh, [20.0], [1.699342e-17]),
        (lambda z: nn.softmax(z)[1], [0.0, 38.0], [-3.139133e-17, 3.139133e-17]),
        (lambda z: nn.log_softmax(z)[1], [0.0, 38.0], [-3.139133e-17, 3.139133e-17]),
        (lambda z: nn.binary_crossentropy(np.ones(1, np.float32), nn.sigmoid(z)), [15.0], [-3.059022e-07]),
    ],
)
def test_a_small_slope_is_not_flushed_to_zero(f: Any, z: list[float], slope: list[float]) -> None:
    np.testing.assert_allclose(run(f, np.array(z, np.float32))[1], slope, rtol=1e-6)


def test_higher_slopes_of_tanh_at_zero() -> None:
    f = np.tanh
    for slope in (1, 0, -2, 0, 16):
        f = tg.grad(f)
        np.testing.assert_allclose(f(0.0), slope, atol=1e-12)


@pytest.mark.parametrize(
    ("f", "formula"),
    [
        (nn.sigmoid, "y ◦ (1 − y)"),
        (nn.tanh, "1 − y²"),
        (nn.relu, "[θ > 0]"),
        (nn.softplus, "exp(θ − y)"),
        (lambda z: nn.sigmoid_cross_entropy(z, np.ones((1, 2))), "(sigmoid(z) − Y)/2"),
    ],
)
def test_the_slides_formulas_are_shown_where_others_are_computed(f: Any, formula: str) -> None:
    z = Tensor(np.array([[0.5, -1.0]]), requires_grad=True)
    y = f(z)
    assert formula in tg.explain(np.sum(y), wrt=z).text()
