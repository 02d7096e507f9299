"""The floor: training steps as an expert writes them by hand in NumPy, each result in a buffer of its own."""

import itertools
from collections.abc import Callable

import numpy as np

LEARNING_RATE = 0.1


def problem(layers: int, batch: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return a batch of pixels, its one-hot labels, and weights and biases: 784 -> 10, or 784 -> 10 -> 10."""
    rng = np.random.default_rng(0)
    x = rng.random((batch, 784), dtype=np.float32)
    onehot = np.eye(10, dtype=np.float32)[rng.integers(0, 10, batch)]
    widths = (784, 10, 10)[: layers + 1]
    parameters = []
    for n, m in itertools.pairwise(widths):
        limit = np.sqrt(6 / (n + m))
        parameters += [rng.uniform(-limit, limit, (n, m)).astype(np.float32), np.zeros(m, np.float32)]
    return x, onehot, parameters


def softmax_regression(batch: int, product: Callable[..., np.ndarray] = np.matmul) -> Callable[[], float]:
    """784 -> 10, softmax cross-entropy, SGD; `product` may be np.dot, which is sooner for small batches."""
    x, onehot, (W, b) = problem(1, batch)
    xT = x.T
    z, row, log = np.empty_like(onehot), np.empty((batch, 1), np.float32), np.empty((batch, 1), np.float32)
    dW, db = np.empty_like(W), np.empty_like(b)
    rate = np.float32(LEARNING_RATE / batch)

    def step() -> float:
        product(x, W, out=z)
        np.add(z, b, out=z)
        loss = _softmax_minus_onehot(z, onehot, row, log)
        np.multiply(z, rate, out=z)
        product(xT, z, out=dW)
        np.add.reduce(z, axis=0, out=db)
        np.subtract(W, dW, out=W)
        np.subtract(b, db, out=b)
        return loss

    return step


def two_layers(batch: int, product: Callable[..., np.ndarray] = np.matmul) -> Callable[[], float]:
    """784 -> 10 -> 10 with ReLU, softmax cross-entropy, SGD."""
    x, onehot, (W1, b1, W2, b2) = problem(2, batch)
    xT, W2T = x.T, W2.T
    h, z, dh = (np.empty_like(onehot) for _ in range(3))
    hT = h.T
    alive = np.empty(onehot.shape, bool)
    row, log = np.empty((batch, 1), np.float32), np.empty((batch, 1), np.float32)
    dW1, db1, dW2, db2 = (np.empty_like(p) for p in (W1, b1, W2, b2))
    rate = np.float32(LEARNING_RATE / batch)

    def step() -> float:
        product(x, W1, out=h)
        np.add(h, b1, out=h)
        np.maximum(h, 0, out=h)
        product(h, W2, out=z)
        np.add(z, b2, out=z)
        loss = _softmax_minus_onehot(z, onehot, row, log)
        np.multiply(z, rate, out=z)
        product(hT, z, out=dW2)
        np.add.reduce(z, axis=0, out=db2)
        product(z, W2T, out=dh)
        np.greater(h, 0, out=alive)
        np.multiply(dh, alive, out=dh)
        product(xT, dh, out=dW1)
        np.add.reduce(dh, axis=0, out=db1)
        for p, d in ((W1, dW1), (b1, db1), (W2, dW2), (b2, db2)):
            np.subtract(p, d, out=p)
        return loss

    return step


def _softmax_minus_onehot(z: np.ndarray, onehot: np.ndarray, row: np.ndarray, log: np.ndarray) -> float:
    """Return the cross-entropy of logits z, and overwrite z by softmax(z) - onehot."""
    np.maximum.reduce(z, axis=1, keepdims=True, out=row)
    np.subtract(z, row, out=z)
    labelled = np.vdot(onehot, z)
    np.exp(z, out=z)
    np.add.reduce(z, axis=1, keepdims=True, out=row)
    np.log(row, out=log)
    loss = (np.add.reduce(log, axis=None) - labelled) / len(z)
    np.divide(z, row, out=z)
    np.subtract(z, onehot, out=z)
    return float(loss)
