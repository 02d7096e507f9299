"""grad, vjp, jvp and the rest: values, structures, composition, forward against reverse, and errors."""

import dataclasses
import functools
import gc
import time
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor
from tinygrad_edu.recording import apply
from tinygrad_edu.rules import enter

RNG = np.random.default_rng(0)
X = RNG.normal(size=4)
A = RNG.normal(size=(4, 4))


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosenbrock_hessian(x):
    n = len(x)
    h = np.zeros((n, n))
    for i in range(n - 1):
        h[i, i] += 1200 * x[i] ** 2 - 400 * x[i + 1] + 2
        h[i, i + 1] = h[i + 1, i] = -400 * x[i]
        h[i + 1, i + 1] += 200
    return h


def test_grad_gives_arrays_for_arrays_and_leaves_its_argument_alone():
    x = X.copy()
    gradient = tg.grad(lambda x: np.sum(x**2))(x)
    assert type(gradient) is np.ndarray
    assert gradient.flags.writeable
    assert x.flags.writeable
    np.testing.assert_allclose(gradient, 2 * X)


def test_value_and_grad_with_several_arguments_and_aux():
    def f(a, b):
        return np.sum(a * b), {"product": a * b}

    (value, aux), (da, db) = tg.value_and_grad(f, argnums=(0, -1), has_aux=True)(X, 2 * X)
    np.testing.assert_allclose(value, 2 * X @ X)
    np.testing.assert_allclose(aux["product"], 2 * X * X)
    assert type(aux["product"]) is np.ndarray
    np.testing.assert_allclose(da, 2 * X)
    np.testing.assert_allclose(db, X)


def test_grad_over_nested_containers_keeps_their_structure():
    parameters = {"layers": [(A, X), (A.T, X + 1)], "scale": 2.0}

    def f(p):
        return p["scale"] * sum(np.sum(w @ b) for w, b in p["layers"])

    gradient = tg.grad(f)(parameters)
    assert isinstance(gradient["layers"][0], tuple)
    np.testing.assert_allclose(gradient["layers"][0][1], 2 * A.sum(0))
    np.testing.assert_allclose(gradient["layers"][1][0], 2 * np.tile(X + 1, (4, 1)))
    np.testing.assert_allclose(gradient["scale"], f(parameters) / 2)


def test_an_argument_without_influence_has_gradient_zero():
    np.testing.assert_array_equal(tg.grad(lambda a, b: np.sum(a), argnums=1)(X, A), np.zeros((4, 4)))
    assert tg.grad(lambda a: 3.0)(1.0) == 0.0


def test_grad_of_grad_of_grad():
    third = tg.grad(tg.grad(tg.grad(lambda x: np.exp(2 * x) * np.sin(x))))
    x = 0.7
    expected = np.exp(2 * x) * (2 * np.sin(x) + 11 * np.cos(x))
    np.testing.assert_allclose(third(x), expected, rtol=1e-12)


def test_inner_and_outer_variables_are_not_confused():
    # d/dx (x * d/dy (x * y) at y = x) = d/dx (x * x) = 2x: the inner derivative must not see the outer x
    assert tg.grad(lambda x: x * tg.grad(lambda y: x * y)(x))(3.0) == 6.0
    assert tg.grad(lambda x: x * tg.grad(lambda y: x * y)(1.0))(3.0) == 6.0
    # the same in forward mode
    assert tg.jvp(lambda x: x * tg.jvp(lambda y: x * y, (x,), (1.0,))[1], (3.0,), (1.0,))[1] == 6.0


def test_vjp_pulls_back_many_times_and_through_containers():
    y, pullback = tg.vjp(lambda a, b: {"sum": a + b, "product": a * b}, X, 3.0)
    np.testing.assert_allclose(y["product"], 3 * X)
    da, db = pullback({"sum": np.ones(4), "product": np.zeros(4)})
    np.testing.assert_allclose(da, np.ones(4))
    assert db == 4.0
    da, db = pullback({"sum": np.zeros(4), "product": X})
    np.testing.assert_allclose(da, 3 * X)
    np.testing.assert_allclose(db, X @ X)


def mixture(x):
    """One function through every kind of rule: elementwise, linear, several results, lists, indexing."""
    first, second = np.split(np.tanh(A @ x), 2)
    joined = np.concatenate([first * second, np.cumsum(x), x[[0, 0, 2]]])
    spread = np.where(joined > 0, joined**2, np.sin(joined)) / (1 + np.abs(joined))
    return np.einsum("i,i,i->i", spread, spread, joined) + np.std(x) + np.max(x) * np.prod(x)


def test_forward_and_reverse_mode_agree():
    v, u = RNG.normal(size=4), RNG.normal(size=9)
    y, tangent = tg.jvp(mixture, (X,), (v,))
    same, pullback = tg.vjp(mixture, X)
    np.testing.assert_array_equal(y, same)
    np.testing.assert_allclose(u @ tangent, pullback(u)[0] @ v, rtol=1e-12)
    jacobian = tg.jacobian(mixture)(X)
    assert jacobian.shape == (9, 4)
    np.testing.assert_allclose(jacobian @ v, tangent, rtol=1e-12)


def test_hessian_and_hvp_of_rosenbrock():
    expected = rosenbrock_hessian(X)
    np.testing.assert_allclose(tg.hessian(rosenbrock)(X), expected, rtol=1e-12, atol=1e-12)
    v = RNG.normal(size=4)
    np.testing.assert_allclose(tg.hvp(rosenbrock, X, v), expected @ v, rtol=1e-11)
    # the four ways to compose reverse and forward mode
    np.testing.assert_allclose(tg.jacobian(tg.grad(rosenbrock))(X), expected, rtol=1e-12, atol=1e-12)
    reverse_over_forward = tg.grad(lambda x: tg.jvp(rosenbrock, (x,), (v,))[1])(X)
    np.testing.assert_allclose(reverse_over_forward, expected @ v, rtol=1e-11)
    forward_over_forward = tg.jvp(lambda x: tg.jvp(rosenbrock, (x,), (v,))[1], (X,), (v,))[1]
    np.testing.assert_allclose(forward_over_forward, v @ expected @ v, rtol=1e-11)


def test_hessian_over_a_container_is_a_container_of_containers():
    h = tg.hessian(lambda p: np.sum(p["a"] ** 2 * p["b"]))({"a": X, "b": 3.0})
    np.testing.assert_allclose(h["a"]["a"], 6 * np.eye(4))
    np.testing.assert_allclose(h["a"]["b"], 2 * X)
    np.testing.assert_allclose(h["b"]["a"], 2 * X)
    assert h["b"]["b"] == 0.0


def test_jacobian_of_containers_and_of_empty_results():
    j = tg.jacobian(lambda x: (x[:0], {"sum": x.sum()}))(X)
    assert j[0].shape == (0, 4)
    np.testing.assert_array_equal(j[1]["sum"], np.ones(4))


def test_elementwise_grad():
    np.testing.assert_allclose(tg.elementwise_grad(np.tanh)(A), 1 - np.tanh(A) ** 2)


def test_float32_stays_float32():
    x = X.astype(np.float32)
    assert tg.grad(lambda x: np.sum(np.sin(x) * 2.0))(x).dtype == np.float32
    assert tg.jvp(np.sin, (x,), (x,))[1].dtype == np.float32
    assert tg.hessian(lambda x: np.sum(x**3))(x).dtype == np.float32


def test_transforms_work_on_tensors_of_a_larger_graph():
    w = Tensor(X, requires_grad=True)
    slope = tg.grad(lambda x: np.sum(x**3))(w)
    assert isinstance(slope, Tensor)
    slope.sum().backward()
    np.testing.assert_allclose(w.grad, 6 * X)


def test_transforms_work_under_no_grad_and_leave_it_on():
    with tg.no_grad():
        np.testing.assert_allclose(tg.grad(lambda x: np.sum(x**2))(X), 2 * X)
        assert not (Tensor(X, requires_grad=True) * 2).requires_grad


def test_checkpoint_gives_the_same_gradients_to_any_order_and_to_closed_over_tensors():
    w = Tensor(A, requires_grad=True)

    def block(x):
        return np.tanh(w @ x), np.sum(x)

    def loss(f, x):
        y, total = f(x)
        return np.sum(y**2) * total

    for x in (Tensor(X, requires_grad=True), X):
        gradients = []
        for f in (block, tg.checkpoint(block)):
            w.zero_grad()
            loss(f, x).backward()
            gradients.append(w.grad.numpy())
        np.testing.assert_array_equal(*gradients)
    f = tg.checkpoint(lambda x: np.sin(x) * x)
    plain = tg.hessian(lambda x: np.sum(np.sin(x) * x))(X)
    np.testing.assert_allclose(tg.hessian(lambda x: np.sum(f(x)))(X), plain, rtol=1e-12, atol=1e-14)


def test_checkpoint_keeps_less_memory():
    def deep(x):
        for _ in range(50):
            x = np.sin(x)
        return x

    def kept(f):
        gc.collect()
        tracemalloc.start()
        y = f(Tensor(np.ones(10_000), requires_grad=True))
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert y.requires_grad
        return kept

    assert kept(tg.checkpoint(deep)) < kept(deep) / 10


def test_checkpoint_notices_an_assigned_parameter():
    w = Tensor(X, requires_grad=True)
    loss = tg.checkpoint(lambda x: np.sum(w * x))(X)
    w.assign(2 * X)
    with pytest.raises(RuntimeError, match="assigned"):
        loss.backward()


def test_stop_gradient():
    assert tg.grad(lambda x: x * tg.stop_gradient({"a": x * x})["a"])(3.0) == 9.0


def test_hooks_see_and_change_gradients():
    x = Tensor(X, requires_grad=True)
    seen = []
    y = x * 2
    remove = y.register_hook(lambda g: seen.append(g.numpy()))
    x.register_hook(lambda g: g * 10)
    (y * 3 + y).sum().backward()
    np.testing.assert_array_equal(seen, [np.full(4, 4.0)])
    np.testing.assert_array_equal(x.grad, np.full(4, 80.0))
    remove()
    y.sum().backward()
    assert len(seen) == 1
    y.register_hook(lambda g: np.ones(3))
    with pytest.raises(ValueError, match="shape"):
        y.sum().backward()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tg.grad(lambda x: x)(X), "scalar"),
        (lambda: tg.grad(np.sum)(3), "floating-point"),
        (lambda: tg.grad(np.sum, argnums=1)(X), "argnums"),
        (lambda: tg.grad(np.sum, argnums=())(X), "argnums"),
        (lambda: tg.jvp(np.sin, (X,), (A,)), "tangent"),
        (lambda: tg.jvp(np.sin, X, X), r"jvp\(f, \(x,\), \(v,\)\)"),
        (lambda: tg.grad(np.sum, argnums="x")(X), "counts positional arguments"),
        (
            lambda: tg.grad(lambda d: d["a"] * d["n"][0])({"a": 1.0, "n": [3]}),
            r"argument 0\['n'\]\[0\] is 3, ",
        ),
        (lambda: tg.grad(lambda d: d["a"])({"a": 1.0, "n": None}), r"argument 0\['n'\] is None"),
        (lambda: tg.grad(lambda d: d["a"])({"a": 1.0, "n": "relu"}), r"argument 0\['n'\] is 'relu'"),
        (lambda: tg.vjp(np.sin, X)[1](A), "pullback"),
    ],
)
def test_errors_say_what_to_do(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_gradients_reach_tensors_in_a_closure():
    # a gradient penalty: the slope with respect to the input depends on the parameter
    w = Tensor(3.0, requires_grad=True)
    slope = tg.grad(lambda a: a * w * w)(2.0)
    (w + slope).backward()
    assert w.grad.item() == 7.0
    with tg.no_grad():
        assert not isinstance(tg.grad(lambda a: a * w * w)(2.0), Tensor)


def test_gradients_flow_through_cotangents_and_tangents():
    _, pullback = tg.vjp(lambda x: x**2, 3.0)
    assert tg.grad(lambda g: pullback(g)[0])(1.0) == 6.0
    move = Tensor(1.0, requires_grad=True)
    tg.jvp(np.sin, (2.0,), (move,))[1].backward()
    np.testing.assert_allclose(move.grad.item(), np.cos(2.0))


def test_dicts_are_matched_by_their_keys():
    def f(p):
        return p["a"] * 10 + p["b"]

    _, tangent = tg.jvp(f, ({"a": 1.0, "b": 2.0},), ({"b": 1.0, "a": 0.0},))
    assert tangent == 1.0
    with pytest.raises(ValueError, match="tangent for each of"):
        tg.jvp(f, ({"a": 1.0, "b": 2.0},), ({"a": 1.0},))


def test_checkpoint_of_two_results_of_which_one_is_used():
    f = tg.checkpoint(lambda x: (np.sin(x), x**3))
    assert tg.grad(tg.grad(lambda x: f(x)[1]))(2.0) == 12.0
    assert tg.hvp(lambda x: f(x)[1], 2.0, 1.0) == 12.0


def test_checkpoint_calls_hooks_once_takes_keywords_and_refuses_to_draw():
    x = Tensor(1.0, requires_grad=True)
    x.register_hook(lambda g: g * 10)
    tg.checkpoint(lambda a, factor=1.0: a * factor)(x, factor=2.0).backward()
    assert x.grad.item() == 20.0
    random = np.random.default_rng(0)
    noisy = tg.checkpoint(lambda a: a * random.normal())(x)
    with pytest.raises(RuntimeError, match="other results"):
        noisy.backward()


def test_elementwise_rules_given_position_by_position_have_a_forward_mode():
    def double(x):
        return 2 * x

    enter(double, each=lambda position, g, y, x: 2 * g, elementwise=True)
    assert tg.jvp(lambda x: apply(double, (x,)), (3.0,), (1.0,))[1] == 2.0
    assert tg.grad(lambda x: apply(double, (x,)))(3.0) == 2.0


def test_numbers_are_not_read_out_of_a_traced_tensor():
    import math

    for read in (math.sin, float, int, lambda x: x.item(), lambda x: x.tolist()):
        with pytest.raises(TypeError, match="drop its gradient"):
            tg.grad(lambda x, read=read: read(x) * x)(2.0)
    assert tg.grad(lambda x: x * float(x.detach()))(2.0) == 2.0


def test_a_function_without_a_result_is_named():
    with pytest.raises(TypeError, match="returned None"):
        tg.grad(lambda x: None)(1.0)


def test_aux_may_be_anything():
    def penalized(x):
        (_, note), slope = tg.value_and_grad(lambda z: (z**2, ("text", None, 3)), has_aux=True)(x)
        assert note == ("text", None, 3)
        return slope

    assert tg.grad(penalized)(1.0) == 2.0


@pytest.mark.parametrize("join", [np.stack, np.concatenate, lambda parts: np.sum(np.stack(parts), axis=0)])
def test_forward_mode_joins_many_arrays_in_one_go(join):
    """Each of n arrays joined must not cost an array as large as all of them."""

    def seconds(n):
        def once():
            start = time.process_time()
            tg.jvp(lambda x: join([x] * n), [np.ones(50)], [np.ones(50)])
            return time.process_time() - start

        return min(once() for _ in range(3))

    assert seconds(3200) < 9 * seconds(800)  # and not 16 times


def test_forward_mode_joins_what_moves_with_what_does_not():
    x = np.array([1.0, 2.0], np.float32)
    for joined in (
        lambda v: np.concatenate([v, np.array([3, 4]), v * v]),
        lambda v: np.stack([np.ones(2, np.float32), v], axis=-1),
        lambda v: np.concatenate(np.stack([v, v]), axis=0),
        lambda v: np.concatenate([np.array([1, 2]), v], dtype=np.float64),
    ):
        y, slope = tg.jvp(joined, [x], [np.ones(2, np.float32)])
        expected = tg.jacobian(joined)(x) @ np.ones(2)
        np.testing.assert_array_equal(slope, expected)
        assert (slope.dtype, slope.shape) == (y.dtype, y.shape)
        twice = tg.jvp(lambda v, f=joined: tg.jvp(lambda u: f(u * u), [v], [v])[1], [x], [x])[1]
        assert twice.shape == y.shape


def test_results_that_are_no_scalar_are_refused_by_name() -> None:
    def generator(x):
        yield x

    for f, kind in (
        (lambda x: {"loss": x * x}, "dict"),
        (lambda x: "abc", "str"),
        (generator, "generator"),
        (lambda x: (x * x,), "tuple"),
    ):
        for transform in (tg.grad, tg.value_and_grad, tg.hessian, lambda f: lambda x: tg.hvp(f, x, 1.0)):
            with pytest.raises(TypeError, match=f"returned a {kind}"):
                transform(f)(3.0)
        with pytest.raises(TypeError, match=f"returned a {kind}"):
            tg.jit(tg.grad(f))(3.0)
    with pytest.raises(TypeError, match="has_aux=True needs a function that returns a pair"):
        tg.grad(lambda x: x * x, has_aux=True)(X[:2])


def test_python_objects_drop_no_gradient():
    x = np.array([1.0, 2.0])
    for f in (
        lambda x: np.sum(x + x * np.array([3.0, 4.0], object)),
        lambda x: np.sum(x) + np.sum(x * [Fraction(1, 2), 1]),
        lambda x: np.sum(x) + np.sum(x.astype(object)),
    ):
        with pytest.raises(TypeError, match="Python objects"):
            tg.grad(f)(x)


def test_results_are_counted_from_the_end_too():
    @tg.primitive(lambda g, y, x: g[0] * 2 * x + g[-1] * y[-1])
    def f(x):
        return x * x, np.exp(x)

    @tg.primitive(lambda g, y, x: sum(g[:1]) * 2 * x + sum(a * b for a, b in zip(g[1:], y[1:], strict=True)))
    def sliced(x):
        return x * x, np.exp(x)

    for fn in (f, sliced):
        h = tg.grad(lambda x, fn=fn: fn(x)[1])
        for second in (tg.grad(h), tg.jit(tg.grad(h)), tg.grad(tg.grad(h))):
            np.testing.assert_allclose(second(1.0), np.exp(1.0))


@dataclasses.dataclass
class Computed:
    a: object

    @functools.cached_property
    def squared(self):
        return self.a**2


@dataclasses.dataclass
class Kept:
    a: object

    def __post_init__(self):
        self.share = self.a / np.sum(self.a)


def test_what_a_dataclass_has_computed_follows_its_fields():
    p, q = Computed(np.full(2, 3.0)), Computed(np.full(2, 10.0))
    assert p.squared.tolist() == [9, 9]
    assert q.squared.tolist() == [100, 100]
    assert tg.grad(lambda p: np.sum(p.squared))(p).a.tolist() == [6, 6]
    step = tg.jit(lambda p: np.sum(p.squared))
    assert (step(p), step(q)) == (18.0, 200.0)
    with pytest.raises(TypeError, match="Kept keeps 'share', which is none of its fields"):
        tg.grad(lambda p: np.sum(p.share[0]))(Kept(np.ones(2)))


def test_an_open_mesh_hands_gradients_on():
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0])
    slopes = tg.grad(lambda x, y: np.sum(np.multiply(*np.ix_(x, y)) ** 2), (0, 1))(x, y)
    np.testing.assert_allclose(slopes[0], 2 * x * np.sum(y**2))
    np.testing.assert_allclose(slopes[1], 2 * y * np.sum(x**2))
