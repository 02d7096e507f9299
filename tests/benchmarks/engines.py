"""The engines that are compared, each a function that makes a `Trainer` for a workload.

An engine imports its library when it is called, so that whatever is not installed is left out. All train the
same network on the same numbers, and each step ends with the loss as one of Python's floats.
"""

import functools
import importlib.util
import itertools
import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import floor
import numpy as np
from floor import RMSPROP_EPSILON, Workload

EPOCH, LARGE_EPOCH = 200, 50  # steps in an epoch, for the engines that take a whole one at a time
MANY = 100_000  # parameters of a large network


class Trainer(NamedTuple):
    """Takes steps, on and on: `losses(n)` returns the losses of n steps, `run(n)` is to be timed.

    Both take a multiple of `epoch` steps, except that `losses` takes any number at first.
    """

    losses: Callable[[int], list[float]]
    run: Callable[[int], Any]
    epoch: int = 1


def stepwise(step: Callable[[], float]) -> Trainer:
    """Make a trainer of a function that takes one step and returns the loss."""

    def run(n: int) -> None:
        for _ in range(n):
            step()

    return Trainer(lambda n: [step() for _ in range(n)], run)


def epoch_of(workload: Workload) -> int:
    """Return how many steps an epoch has."""
    large = sum(n * m for n, m in itertools.pairwise(workload.widths)) > MANY
    return LARGE_EPOCH if large else EPOCH


def rule(workload: Workload, expm1: Callable[[Any], Any]) -> tuple[Callable[..., Any], tuple[float, ...]]:
    """Return an optimizer as arithmetic for any library's arrays, and what its state is filled with at first.

    `(p, g, state, t) -> (p, state)`, for the parameter p, its gradient g, and step number t from 1 up. The
    library's `expm1` computes 1 - β^t without rounding away most of its digits.
    """
    a = workload.rate

    def momentum(p: Any, g: Any, state: Any, t: Any) -> Any:
        v = 0.9 * state[0] - a * g
        return p + v, (v,)

    def adagrad(p: Any, g: Any, state: Any, t: Any) -> Any:
        s = state[0] + g * g
        return p - a * g / (s + 1e-7) ** 0.5, (s,)

    def rmsprop(p: Any, g: Any, state: Any, t: Any) -> Any:
        s = 0.9 * state[0] + 0.1 * (g * g)
        return p - a * g / (s + RMSPROP_EPSILON) ** 0.5, (s,)

    def adam(p: Any, g: Any, state: Any, t: Any) -> Any:
        m, v = state
        m, v = m + (g - m) * 0.1, v + (g * g - v) * 0.001
        rate = a * (-expm1(math.log(0.999) * t)) ** 0.5 / -expm1(math.log(0.9) * t)
        return p - m * rate / (v**0.5 + 1e-7), (m, v)

    rules = {
        "sgd": (lambda p, g, state, t: (p - a * g, state), ()),
        "momentum": (momentum, (0.0,)),
        "adagrad": (adagrad, (0.1,)),
        "rmsprop": (rmsprop, (0.0,)),
        "adam": (adam, (0.0, 0.0)),
    }
    return rules[workload.optimizer]


# NumPy


def by_hand(workload: Workload) -> Trainer:
    return stepwise(floor.plain_step(workload))


def by_hand_with_every_trick(workload: Workload) -> Trainer:
    return stepwise(floor.tricky_step(workload))


# tinygrad_edu


def _optimizer(workload: Workload) -> Any:
    from tinygrad_edu.nn import optimizers

    rate = workload.rate
    return {
        "sgd": lambda: optimizers.SGD(rate),
        "momentum": lambda: optimizers.SGD(rate, momentum=0.9),
        "adagrad": lambda: optimizers.Adagrad(rate),
        "rmsprop": lambda: optimizers.RMSprop(rate, epsilon=RMSPROP_EPSILON),
        "adam": lambda: optimizers.Adam(rate),
    }[workload.optimizer]()


def eager(workload: Workload) -> Trainer:
    from tinygrad_edu import Tensor, nn

    x, onehot, arrays = floor.problem(workload)
    parameters = [Tensor(a, requires_grad=True) for a in arrays]
    (*hidden, (W_last, b_last)), optimizer = _pairs(parameters), _optimizer(workload)

    def step() -> float:
        h = x
        for W, b in hidden:
            h = nn.relu(h @ W + b)
        loss = nn.losses.softmax_cross_entropy(h @ W_last + b_last, onehot)
        loss.backward()
        optimizer.apply(parameters)
        return float(loss)

    return stepwise(step)


def jitted(workload: Workload, compiled: bool = False) -> Trainer:
    x, onehot, step = jitted_step(workload, compiled)
    return stepwise(lambda: float(step(x, onehot)))


def jitted_step(workload: Workload, compiled: bool = False) -> tuple[Any, Any, Any]:
    """Return x, the labels, and the step `(x, y) -> loss` under `tg.jit`, not called yet."""
    import tinygrad_edu as tg
    from tinygrad_edu import nn
    from tinygrad_edu.nn.layers import Dense

    x, onehot, arrays = floor.problem(workload)
    layers = [
        Dense(
            W.shape[1],
            activation="relu" if i < len(workload.widths) - 2 else None,
            kernel_initializer=lambda shape, dtype, W=W: W,
            input_dim=W.shape[0],
        )
        for i, (W, _) in enumerate(_pairs(arrays))
    ]
    parameters, optimizer = [p for layer in layers for p in layer.parameters], _optimizer(workload)

    @tg.jit(compiled=compiled)
    def step(x: Any, y: Any) -> Any:
        for layer in layers:
            x = layer(x)
        loss = nn.losses.softmax_cross_entropy(x, y)
        loss.backward()
        optimizer.apply(parameters)
        return loss

    return x, onehot, step


def _pairs(parameters: list[Any]) -> list[tuple[Any, Any]]:
    """Return W and b of each layer."""
    return list(zip(parameters[::2], parameters[1::2], strict=True))


# PyTorch


def _torch(workload: Workload) -> tuple[Any, Any, Any, Callable[..., Any]]:
    """Return x, labels, parameters, and the loss as a function of the three."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    x, onehot, arrays = floor.problem(workload)

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        *hidden, (W_last, b_last) = _pairs(parameters)
        for W, b in hidden:
            x = torch.relu(x @ W + b)
        return torch.nn.functional.cross_entropy(x @ W_last + b_last, y)

    return torch.from_numpy(x), torch.from_numpy(onehot), [torch.from_numpy(a) for a in arrays], loss


def pytorch(workload: Workload) -> Trainer:
    import torch

    x, y, parameters, loss_of = _torch(workload)
    parameters, rate = [p.requires_grad_() for p in parameters], workload.rate
    adam = workload.optimizer == "adam"
    optimizer = {
        "sgd": lambda: torch.optim.SGD(parameters, rate),
        "momentum": lambda: torch.optim.SGD(parameters, rate, momentum=0.9),
        "adagrad": lambda: torch.optim.Adagrad(parameters, rate, initial_accumulator_value=0.1),
        "rmsprop": lambda: torch.optim.RMSprop(parameters, rate, alpha=0.9, eps=RMSPROP_EPSILON),
        "adam": lambda: torch.optim.Adam(parameters, rate),
    }[workload.optimizer]()
    t = 0

    def step() -> float:
        nonlocal t
        loss = loss_of(parameters, x, y)
        optimizer.zero_grad()
        if adam:  # PyTorch adds epsilon to the root after correcting it, the others before
            t += 1
            optimizer.param_groups[0]["eps"] = 1e-7 / (1 - 0.999**t) ** 0.5
        loss.backward()
        optimizer.step()
        return loss.item()

    return stepwise(step)


def torch_compile(workload: Workload) -> Trainer:
    """Compile the whole step into one graph: forward, backward, and the update in place."""
    import torch

    x, y, parameters, loss_of = _torch(workload)
    move, start = rule(workload, torch.expm1)
    states = [tuple(torch.full_like(p, value) for value in start) for p in parameters]
    t = torch.zeros(())

    def whole(parameters: Any, states: Any, t: Any, x: Any, y: Any) -> Any:
        gradients, loss = torch.func.grad_and_value(loss_of)(parameters, x, y)
        t.add_(1)
        for p, g, state in zip(parameters, gradients, states, strict=True):
            new, changed = move(p, g, state, t)
            p.copy_(new)
            for part, value in zip(state, changed, strict=True):
                part.copy_(value)
        return loss

    torch._dynamo.reset()  # each workload anew, not as another variant of the one before
    compiled = torch.compile(whole, fullgraph=True, dynamic=False)

    def step() -> float:
        return compiled(parameters, states, t, x, y).item()

    return stepwise(step)


# JAX


def _jax(workload: Workload) -> tuple[Any, Callable[..., Any], Any, Any]:
    """Return (parameters, optimizer's state), the step `(both, x, y) -> (both, loss)`, x and labels."""
    import jax
    import jax.numpy as jnp

    x, onehot, arrays = floor.problem(workload)
    move, start = rule(workload, jnp.expm1)

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        *hidden, (W_last, b_last) = _pairs(parameters)
        for W, b in hidden:
            x = jax.nn.relu(x @ W + b)
        return -jnp.vdot(y, jax.nn.log_softmax(x @ W_last + b_last)) / len(y)

    def step(parameters: Any, optimizer: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
        states, t = optimizer
        moved = [move(p, g, s, t) for p, g, s in zip(parameters, gradients, states, strict=True)]
        return [p for p, _ in moved], ([s for _, s in moved], t + 1), loss

    parameters = [jnp.array(a) for a in arrays]
    optimizer = ([tuple(jnp.full_like(p, value) for value in start) for p in parameters], jnp.float32(1))
    return (parameters, optimizer), step, jax.device_put(x), jax.device_put(onehot)


def jax_jit(workload: Workload) -> Trainer:
    import jax

    (parameters, optimizer), function, x, y = _jax(workload)
    compiled = jax.jit(function, donate_argnums=(0, 1))

    def step() -> float:
        nonlocal parameters, optimizer
        parameters, optimizer, loss = compiled(parameters, optimizer, x, y)
        return float(loss)

    return stepwise(step)


def jax_scan(workload: Workload) -> Trainer:
    """Take an epoch of steps in one call."""
    import jax

    state, function, x, y = _jax(workload)

    def epoch(parameters: Any, optimizer: Any, x: Any, y: Any, n: int) -> Any:
        def body(carry: Any, _: Any) -> Any:
            parameters, optimizer, loss = function(*carry, x, y)
            return (parameters, optimizer), loss

        return jax.lax.scan(body, (parameters, optimizer), length=n)

    compiled = jax.jit(epoch, static_argnums=4, donate_argnums=(0, 1))

    def losses(n: int) -> list[float]:
        nonlocal state
        state, found = compiled(*state, x, y, n)
        return np.asarray(found).tolist()

    size = epoch_of(workload)
    return Trainer(losses, lambda n: [losses(size) for _ in range(n // size)], size)


# Others


def keras_fit(workload: Workload) -> Trainer:
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    x, onehot, arrays = floor.problem(workload)
    rate = workload.rate
    optimizer = {
        "sgd": lambda: keras.optimizers.SGD(rate),
        "momentum": lambda: keras.optimizers.SGD(rate, momentum=0.9),
        "adagrad": lambda: keras.optimizers.Adagrad(rate),
        "rmsprop": lambda: keras.optimizers.RMSprop(rate, epsilon=RMSPROP_EPSILON),
        "adam": lambda: keras.optimizers.Adam(rate),
    }[workload.optimizer]()
    layers = [keras.layers.Dense(width, "relu") for width in workload.widths[1:-1]]
    model = keras.Sequential(
        [keras.Input(workload.widths[:1]), *layers, keras.layers.Dense(workload.widths[-1])]
    )
    model.set_weights(arrays)
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True))
    size = epoch_of(workload)
    repeated = np.tile(x, (size, 1)), np.tile(onehot, (size, 1))

    def fit(x: Any, y: Any, epochs: int) -> list[float]:
        found = model.fit(x, y, batch_size=workload.batch, epochs=epochs, shuffle=False, verbose=0)
        return found.history["loss"]

    return Trainer(lambda n: fit(x, onehot, n), lambda n: fit(*repeated, n // size), size)


def mygrad(workload: Workload) -> Trainer:
    import mygrad as mg
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import softmax_crossentropy

    mg.turn_memory_guarding_off()  # as its documentation advises for speed
    x, onehot, arrays = floor.problem(workload)
    labels, parameters = onehot.argmax(1), [mg.tensor(a) for a in arrays]
    (*hidden, (W_last, b_last)), update = _pairs(parameters), _update_in_place(workload, arrays)

    def step() -> float:
        h = x
        for W, b in hidden:
            h = relu(h @ W + b)
        loss = softmax_crossentropy(h @ W_last + b_last, labels)
        loss.backward()
        update([p.data for p in parameters], [p.grad for p in parameters])
        return loss.item()

    return stepwise(step)


def hips_autograd(workload: Workload) -> Trainer:
    import autograd
    import autograd.numpy as anp

    x, onehot, parameters = floor.problem(workload)
    update = _update_in_place(workload, parameters)

    def loss_of(parameters: list[Any]) -> Any:
        *hidden, (W_last, b_last) = _pairs(list(parameters))
        h = x
        for W, b in hidden:
            h = anp.maximum(h @ W + b, 0)
        z = h @ W_last + b_last
        z = z - anp.max(z, axis=1, keepdims=True)
        logs = z - anp.log(anp.sum(anp.exp(z), axis=1, keepdims=True))
        return -anp.sum(onehot * logs) / len(onehot)

    gradient = autograd.value_and_grad(loss_of)

    def step() -> float:
        loss, gradients = gradient(parameters)
        update(parameters, gradients)
        return float(loss)

    return stepwise(step)


def _update_in_place(workload: Workload, arrays: list[Any]) -> Callable[[list[Any], list[Any]], None]:
    """Return an optimizer for libraries that have none, `update(parameters, gradients)`, on NumPy arrays."""
    move, start = rule(workload, math.expm1)
    states = [tuple(np.full_like(a, value) for value in start) for a in arrays]
    t = 0

    def update(parameters: list[Any], gradients: list[Any]) -> None:
        nonlocal t
        t += 1
        for i, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
            p[...], states[i] = move(p, g, states[i], t)

    return update


class Engine(NamedTuple):
    """How to make a trainer for a workload, and the modules that it takes."""

    make: Callable[[Workload], Trainer]
    modules: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        return [module for module in self.modules if importlib.util.find_spec(module) is None]


FLOOR, JITTED = "NumPy by hand", "ours jitted"
ENGINES = {
    FLOOR: Engine(by_hand),
    "every trick": Engine(by_hand_with_every_trick),
    "ours eager": Engine(eager, ("tinygrad_edu",)),
    JITTED: Engine(jitted, ("tinygrad_edu",)),
    "ours compiled": Engine(functools.partial(jitted, compiled=True), ("tinygrad_edu", "numba")),
    "PyTorch eager": Engine(pytorch, ("torch",)),
    "torch.compile": Engine(torch_compile, ("torch",)),
    "JAX jit": Engine(jax_jit, ("jax",)),
    "JAX lax.scan": Engine(jax_scan, ("jax",)),
    "Keras fit (JAX)": Engine(keras_fit, ("keras", "jax")),
    "MyGrad": Engine(mygrad, ("mygrad",)),
    "HIPS autograd": Engine(hips_autograd, ("autograd",)),
}
