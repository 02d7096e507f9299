"""Training steps written by hand in NumPy, with arrays made once, and the workloads they are for.

`plain_step` is the floor: what an expert writes who follows the formulas, one call for each operation, its
result in an array made once. `tricky_step` does all that was found to be faster still: all parameters lie
in one array, all gradients in another, so that an optimizer moves everything with a few calls; weights lie
column by column, which suits the products; and sums are products with ones, which rounds them in another
order. In both the mean over the batch, and for SGD the learning rate, are multiplied into the smallest
array there is.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import add, divide, dot, exp, log, maximum, multiply, sign, sqrt, subtract, vdot

Array = np.ndarray
RATES = {"sgd": 0.1, "momentum": 0.1, "adagrad": 0.001, "rmsprop": 0.001, "adam": 0.001}
RMSPROP_EPSILON = 1e-10  # too small to matter: PyTorch adds it to the root, the others under the root


class Workload(NamedTuple):
    """Dense layers of these widths with ReLU between them, softmax cross-entropy, one batch, an optimizer.

    `deep` stands for many layers: weights larger than Glorot's by √2 (He's), since through hundreds of layers
    the signal would fade to denormal numbers, which are slow, and a small learning rate, or it would explode.
    """

    widths: tuple[int, ...]
    batch: int
    optimizer: str = "sgd"
    deep: bool = False

    @property
    def rate(self) -> float:
        return 1e-6 if self.deep else RATES[self.optimizer]


def problem(workload: Workload) -> tuple[Array, Array, list[Array]]:
    """Return a batch of pixels, its one-hot labels, and W and b of each layer: the same numbers every time.

    Four pixels in five are dark, as in handwritten digits.
    """
    rng = np.random.default_rng(0)
    first, last, batch = workload.widths[0], workload.widths[-1], workload.batch
    x = rng.random((batch, first), dtype=np.float32)
    x *= rng.random(x.shape) > 0.8
    onehot = np.eye(last, dtype=np.float32)[rng.integers(0, last, batch)]
    parameters = []
    for n, m in itertools.pairwise(workload.widths):
        limit = np.sqrt((12 if workload.deep else 6) / (n + m))
        parameters += [rng.uniform(-limit, limit, (n, m)).astype(np.float32), np.zeros(m, np.float32)]
    return x, onehot, parameters


def plain_step(workload: Workload) -> Callable[[], float]:
    """Return a function that takes one step, forward, backward and update, and returns the loss before it."""
    x, onehot, parameters = problem(workload)
    weights, biases = parameters[::2], parameters[1::2]
    gradients = [np.empty_like(p) for p in parameters]
    d_weights, d_biases = gradients[::2], gradients[1::2]
    pairs = zip(parameters, gradients, strict=True)
    updates = [UPDATES[workload.optimizer](p, g, workload.rate) for p, g in pairs]
    outputs = [np.empty((workload.batch, width), np.float32) for width in workload.widths[1:]]
    inputs, z = [x, *outputs[:-1]], outputs[-1]
    deltas, masks = [np.empty_like(h) for h in outputs[:-1]], [np.empty(h.shape, bool) for h in outputs[:-1]]
    deltas.append(z)  # the gradient of the logits overwrites them
    row, log_row = np.empty((workload.batch, 1), np.float32), np.empty((workload.batch, 1), np.float32)
    folded = workload.rate if workload.optimizer in ("sgd", "momentum") else 1
    scale = np.float32(folded / workload.batch)

    def step() -> float:
        for i, (h, W, b, out) in enumerate(zip(inputs, weights, biases, outputs, strict=True)):
            np.dot(h, W, out=out)
            np.add(out, b, out=out)
            if i < len(weights) - 1:
                np.maximum(out, 0, out=out)
        np.maximum.reduce(z, axis=1, keepdims=True, out=row)
        np.subtract(z, row, out=z)
        labelled = np.vdot(onehot, z)
        np.exp(z, out=z)
        np.add.reduce(z, axis=1, keepdims=True, out=row)
        np.log(row, out=log_row)
        loss = (np.add.reduce(log_row, axis=None) - labelled) / len(z)
        np.divide(z, row, out=z)
        np.subtract(z, onehot, out=z)
        np.multiply(z, scale, out=z)
        for i in range(len(weights) - 1, -1, -1):
            np.dot(inputs[i].T, deltas[i], out=d_weights[i])
            np.add.reduce(deltas[i], axis=0, out=d_biases[i])
            if i > 0:
                np.dot(deltas[i], weights[i].T, out=deltas[i - 1])
                np.greater(inputs[i], 0, out=masks[i - 1])
                np.multiply(deltas[i - 1], masks[i - 1], out=deltas[i - 1])
        for update in updates:
            update()
        return float(loss)

    return step


def tricky_step(workload: Workload) -> Callable[[], float]:
    """Return the same step with every trick."""
    x, onehot, initial = problem(workload)
    everything = np.empty((2, sum(p.size for p in initial)), np.float32)
    parameters, gradients = (_in_columns(flat, initial) for flat in everything)
    for mine, given in zip(parameters, initial, strict=True):
        mine[...] = given
    update = UPDATES[workload.optimizer](*everything, workload.rate)
    folded = workload.rate if workload.optimizer in ("sgd", "momentum") else 1
    softmax_minus_onehot = _softmax_minus_onehot(onehot, folded / workload.batch)

    weights, biases, d_weights, d_biases = parameters[::2], parameters[1::2], gradients[::2], gradients[1::2]
    outputs = [np.empty((workload.batch, width), np.float32) for width in workload.widths[1:]]
    inputs = [x, *outputs[:-1]]
    deltas = [*(np.empty_like(h) for h in outputs[:-1]), outputs[-1]]  # the last overwrites the output
    hidden = list(zip(inputs, weights, biases, outputs, strict=True))
    h_last, W_last, b_last, z = hidden.pop()
    backward = [
        (deltas[i].T, inputs[i], d_weights[i].T, deltas[i], d_biases[i], weights[i].T, deltas[i - 1],
         np.empty_like(deltas[i - 1]))
        for i in range(len(deltas) - 1, 0, -1)
    ]  # fmt: skip
    d_first, d_firstT, dW_firstT, db_first = deltas[0], deltas[0].T, d_weights[0].T, d_biases[0]
    ones, zero = np.ones(workload.batch, np.float32), np.zeros((), np.float32)

    def step() -> float:
        for h, W, b, out in hidden:
            dot(h, W, out)
            add(out, b, out)
            maximum(out, zero, out=out)
        dot(h_last, W_last, z)
        add(z, b_last, z)
        loss = softmax_minus_onehot(z)
        for dT, h, dWT, d, db, WT, below, alive in backward:
            dot(dT, h, dWT)
            dot(ones, d, db)
            dot(d, WT, below)
            sign(h, alive)  # 1 where the ReLU let something through, else 0
            multiply(below, alive, below)
        dot(d_firstT, x, dW_firstT)
        dot(ones, d_first, db_first)
        update()
        return loss

    return step


def _in_columns(flat: Array, like: list[Array]) -> list[Array]:
    """Cut a long array into arrays of the shapes of others, each of which lies in it column by column."""
    parts = np.split(flat, np.cumsum([p.size for p in like])[:-1])
    return [part.reshape(p.shape[::-1]).T for part, p in zip(parts, like, strict=True)]


def _softmax_minus_onehot(onehot: Array, scale: float) -> Callable[[Array], float]:
    """Return a function that turns logits z into scale · (softmax(z) - onehot), and returns the loss."""
    batch, classes = onehot.shape
    row, logs = np.empty((batch, 1), np.float32), np.empty(batch, np.float32)
    total, along, down = row.reshape(batch), np.ones(classes, np.float32), np.ones(batch, np.float32)
    factor = np.array(scale, np.float32)

    def softmax_minus_onehot(z: Array) -> float:
        maximum.reduce(z, axis=1, keepdims=True, out=row)
        subtract(z, row, z)
        labelled = vdot(onehot, z)
        exp(z, z)
        dot(z, along, total)
        log(total, logs)
        loss = (float(dot(logs, down)) - float(labelled)) / batch
        divide(z, row, z)
        subtract(z, onehot, z)
        multiply(z, factor, z)
        return loss

    return softmax_minus_onehot


# Updates of all parameters p by their gradients g at once, with the formulas of tinygrad_edu/nn/optimizers.py


def sgd(p: Array, g: Array, rate: float) -> Callable[[], None]:
    """p ← p - g, where g holds the learning rate already."""

    def update() -> None:
        subtract(p, g, p)

    return update


def momentum(p: Array, g: Array, rate: float, m: float = 0.9) -> Callable[[], None]:
    """v ← m v - g, p ← p + v, where g holds the learning rate already."""
    v, kept = np.zeros_like(p), np.array(m, np.float32)

    def update() -> None:
        multiply(v, kept, v)
        subtract(v, g, v)
        add(p, v, p)

    return update


def adagrad(p: Array, g: Array, rate: float, start: float = 0.1, epsilon: float = 1e-7) -> Callable[[], None]:
    """s ← s + g², p ← p - α g / √(s + ε)."""
    s, t = np.full_like(p, start), np.empty_like(p)
    alpha, small = np.array(rate, np.float32), np.array(epsilon, np.float32)

    def update() -> None:
        multiply(g, g, t)
        add(s, t, s)
        add(s, small, t)
        sqrt(t, t)
        divide(g, t, t)
        multiply(t, alpha, t)
        subtract(p, t, p)

    return update


def rmsprop(
    p: Array, g: Array, rate: float, rho: float = 0.9, epsilon: float = RMSPROP_EPSILON
) -> Callable[[], None]:
    """s ← ρ s + (1 - ρ) g², p ← p - α g / √(s + ε)."""
    s, t = np.zeros_like(p), np.empty_like(p)
    alpha, small = np.array(rate, np.float32), np.array(epsilon, np.float32)
    kept, new = np.array(rho, np.float32), np.array(1 - rho, np.float32)

    def update() -> None:
        multiply(s, kept, s)
        multiply(g, g, t)
        multiply(t, new, t)
        add(s, t, s)
        add(s, small, t)
        sqrt(t, t)
        divide(g, t, t)
        multiply(t, alpha, t)
        subtract(p, t, p)

    return update


def adam(
    p: Array, g: Array, rate: float, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7
) -> Callable[[], None]:
    """m ← m + (1 - β₁)(g - m), v ← v + (1 - β₂)(g² - v), p ← p - α_t m / (√v + ε)."""
    m, v, t = np.zeros_like(p), np.zeros_like(p), np.empty_like(p)
    new_m, new_v = np.array(1 - beta_1, np.float32), np.array(1 - beta_2, np.float32)
    alpha, small = np.empty((), np.float32), np.array(epsilon, np.float32)
    steps = itertools.count(1)

    def update() -> None:
        n = next(steps)
        alpha[()] = rate * (1 - beta_2**n) ** 0.5 / (1 - beta_1**n)
        subtract(g, m, t)
        multiply(t, new_m, t)
        add(m, t, m)
        multiply(g, g, t)
        subtract(t, v, t)
        multiply(t, new_v, t)
        add(v, t, v)
        sqrt(v, t)
        add(t, small, t)
        divide(m, t, t)
        multiply(t, alpha, t)
        subtract(p, t, p)

    return update


UPDATES = {"sgd": sgd, "momentum": momentum, "adagrad": adagrad, "rmsprop": rmsprop, "adam": adam}
