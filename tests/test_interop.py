"""Tensors beside other code: functional assignment, DLPack, buffers, pickling, SciPy's optimizers."""

import copy
import pickle
import sys

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor
from tinygrad_edu.testing import check_gradient

X = np.arange(12.0).reshape(3, 4)

INDICES = [
    1,
    (slice(None), 2),
    (..., slice(None, None, -2)),
    ([0, 2], [1, 3]),
    np.array([True, False, True]),
    (slice(1, None), np.array([0, 3])),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("operation", ["set", "add", "multiply"])
def test_at_does_what_assignment_does_and_differentiates_both_sides(operation, index):
    value = np.linspace(2, 3, X[index].size).reshape(X[index].shape)
    expected = X.copy()
    if operation == "set":
        expected[index] = value
    else:
        expected[index] = {"add": np.add, "multiply": np.multiply}[operation](expected[index], value)
    result = getattr(Tensor(X).at[index], operation)(value)
    np.testing.assert_array_equal(result.numpy(), expected)

    def assigned(x, v):
        x = x if isinstance(x, Tensor) else Tensor(x)
        result = getattr(x.at[index], operation)(v)
        return result if result.requires_grad else result.numpy()

    check_gradient(assigned, X, value)
    check_gradient(assigned, X, np.float64(2.5))


def test_at_with_a_place_named_twice():
    index = [0, 1, 0]
    x, v = Tensor(np.zeros(2), requires_grad=True), Tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x.at[index].set(v)
    np.testing.assert_array_equal(y.numpy(), [3, 2])
    y.sum().backward()
    np.testing.assert_array_equal(v.grad, [0, 1, 1])
    np.testing.assert_array_equal(x.grad, [0, 0])
    np.testing.assert_array_equal(x.at[index].add(v).numpy(), [4, 2])
    with pytest.raises(ValueError, match="twice"):
        x.at[index].multiply(v)


def test_dlpack_shares_memory_both_ways():
    t = Tensor(X)
    assert np.shares_memory(np.from_dlpack(t), t.numpy())
    source = X.copy()
    t = Tensor.from_dlpack(source, requires_grad=True)
    assert np.shares_memory(t.numpy(), source)
    (t * t).sum().backward()
    np.testing.assert_array_equal(t.grad, 2 * X)
    with pytest.raises(TypeError, match="detach"):
        np.from_dlpack(t)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the buffer protocol opened to Python in 3.12")
def test_buffer_protocol():
    assert memoryview(Tensor(X)).tolist() == X.tolist()


def test_numpy_asks_a_tensor_for_its_array_once(monkeypatch):
    asked = []
    for name in ("__buffer__", "__array__"):
        plain = getattr(Tensor, name)

        def counted(self, *args, plain=plain, **how):
            asked.append(plain.__name__)
            return plain(self, *args, **how)

        monkeypatch.setattr(Tensor, name, counted)
    assert np.asarray(Tensor(X)).tolist() == X.tolist()
    assert len(asked) == 1
    with pytest.raises(TypeError, match="would drop the gradient"):
        np.asarray(Tensor(X, requires_grad=True))
    assert len(asked) <= 3


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_pickling_and_deep_copies_of_leaves(clone):
    w = Tensor(X, requires_grad=True, name="w")
    twin = clone(w)
    assert (twin.name, twin.requires_grad) == ("w", True)
    np.testing.assert_array_equal(twin.numpy(), X)
    with pytest.raises(TypeError, match="detach"):
        clone(w * 2)


def test_scipy_minimize_takes_value_and_grad():
    optimize = pytest.importorskip("scipy.optimize")

    def rosenbrock(x):
        return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    found = optimize.minimize(tg.value_and_grad(rosenbrock), np.zeros(5), jac=True, method="BFGS")
    assert found.success
    np.testing.assert_allclose(found.x, np.ones(5), rtol=1e-5)
    newton = optimize.minimize(
        rosenbrock,
        np.zeros(5),
        jac=tg.grad(rosenbrock),
        hessp=lambda x, v: tg.hvp(rosenbrock, x, v),
        method="Newton-CG",
        options={"xtol": 1e-10},
    )
    np.testing.assert_allclose(newton.x, np.ones(5), rtol=1e-5)
