"""Tensors over other arrays than NumPy's: Dask's, lazily and on worker processes, and CuPy's on a GPU."""

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor
from tinygrad_edu.data import mnist

STEPS, RATE = 5, 0.5


def cross_entropy(w, b, x, onehot):
    z = x @ w + b
    z = z - np.max(z, axis=1, keepdims=True)
    log_h = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return -np.mean(np.sum(onehot * log_h, axis=1))


def trained(x, onehot, bring=lambda array: array):
    """Run gradient descent on softmax regression; `bring` fetches a gradient from where it was computed."""
    w, b = (Tensor(np.zeros(shape), requires_grad=True) for shape in ((784, 10), (10,)))
    for _ in range(STEPS):
        cross_entropy(w, b, x, onehot).backward()
        for p in (w, b):
            p.assign(p.data - RATE * bring(p.grad.data))
            p.zero_grad()
    return w.numpy(), b.numpy()


@pytest.fixture(scope="module")
def digits():
    (x, onehot), _ = mnist()
    return x[:600].astype(float), onehot[:600].astype(float)


def test_dask_computes_lazily_and_to_the_same_gradients(digits):
    da = pytest.importorskip("dask.array")
    x, onehot = digits
    w0 = np.random.default_rng(0).normal(size=(784, 10))
    w = Tensor(w0, requires_grad=True)
    loss = cross_entropy(
        w, np.zeros(10), da.from_array(x, chunks=(150, 784)), da.from_array(onehot, chunks=(150, 10))
    )
    loss.backward()
    assert isinstance(loss.data, da.Array)
    assert isinstance(w.grad.data, da.Array)
    expected = tg.grad(cross_entropy)(w0, np.zeros(10), x, onehot)
    np.testing.assert_allclose(w.grad.data.compute(), expected, rtol=1e-10, atol=1e-14)


def test_dask_runs_many_kinds_of_rules():
    da = pytest.importorskip("dask.array")
    a = np.random.default_rng(0).normal(size=(6, 4))

    def f(x):
        y = np.tanh(x).T @ np.where(x > 0, x, 0.1 * x)
        z = np.concatenate([y, np.exp(-y * y)], axis=0)[1:5, ::2]
        z = np.stack([z, np.maximum(z, 0.2)])
        return np.sum(np.einsum("ijk,ijk->jk", z, z)) + np.mean(x.reshape(6, 2, 2)) + np.std(x) + np.max(x)

    x = Tensor(da.from_array(a, chunks=(2, 2)), requires_grad=True)
    f(x).backward()
    np.testing.assert_allclose(x.grad.data.compute(), tg.grad(f)(a), rtol=1e-10)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the cluster's own warnings are not ours to forbid
def test_softmax_regression_trains_on_two_worker_processes(digits):
    distributed = pytest.importorskip("distributed")
    da = pytest.importorskip("dask.array")
    x, onehot = digits
    expected = trained(x, onehot)
    with (
        distributed.LocalCluster(
            n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        chunked = (da.from_array(x, chunks=(150, 784)), da.from_array(onehot, chunks=(150, 10)))
        found = trained(*client.persist(chunked), bring=lambda array: array.compute())
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


def test_cupy_computes_the_same_gradients_on_a_gpu(digits):
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed: gradients on a GPU are not tested")
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:
        pytest.skip("no GPU here: gradients on a GPU are not tested")
    x, onehot = digits
    w = Tensor(cupy.zeros((784, 10)), requires_grad=True)
    b = Tensor(cupy.zeros(10), requires_grad=True)
    cross_entropy(w, b, cupy.asarray(x), cupy.asarray(onehot)).backward()
    expected = tg.grad(cross_entropy, argnums=(0, 1))(np.zeros((784, 10)), np.zeros(10), x, onehot)
    for p, gradient in zip((w, b), expected, strict=True):
        assert isinstance(p.grad.data, cupy.ndarray)
        np.testing.assert_allclose(p.grad.data.get(), gradient, rtol=1e-10, atol=1e-14)
