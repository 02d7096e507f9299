"""Optimizers: how a parameter moves against its gradient.

The one idea: an optimizer is one line of arithmetic, its `rule`, which takes a parameter, its gradient and
what it remembered of earlier steps, and returns the new parameter and what to remember. `apply` runs the rule
for every parameter. Names, arguments, defaults and formulas are those of Keras 3.

An optimizer of one's own is a rule (and, if it remembers something, what each memory starts from)::

    class Momentum(Optimizer):
        start = (0.0,)

        def rule(self, param, grad, state, learning_rate, step):
            (velocity,) = state
            velocity = 0.9 * velocity - learning_rate * grad
            return param + velocity, (velocity,)
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .base_optimizer import LearningRate, Positive, State, between
from .base_optimizer import Optimizer as Optimizer
from .lookup import find


class SGD(Optimizer):
    """Stochastic gradient descent: θ ← θ - α g; with momentum, v ← m v - α g and θ ← θ + v.

    Args:
        learning_rate: α, 0.01 by default.
        momentum: m, the share of the last step that is kept.
        nesterov: whether to look ahead: θ ← θ + m v - α g.
        options: `lr`, `weight_decay` and clipping, as in `Optimizer`.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Sutskever et
    al., "On the importance of initialization and momentum in deep learning", ICML 2013.

    >>> SGD(lr=0.1).rule(np.array([1.0]), np.array([2.0]), (), 0.1, 1)
    (array([0.8]), ())
    """

    state_names = ("velocity",)
    default_learning_rate = 0.01
    momentum = Positive(1)

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Any,
    ):
        super().__init__(learning_rate, **options)
        self.momentum, self.nesterov = momentum, nesterov
        self.start = (0.0,) if self.momentum else ()

    def rule(self, param: Any, grad: Any, state: State, learning_rate: Any, step: Any) -> tuple[Any, State]:
        """Return the parameter a step further down, and its velocity."""
        move = learning_rate * grad
        if not self.momentum:
            return param - move, state
        velocity = self.momentum * (state[0] if state else 0.0) - move
        if self.nesterov:
            return param + (self.momentum * velocity - move), (velocity,)
        return param + velocity, (velocity,)


class Adagrad(Optimizer):
    """Steps divided by the root of all squared gradients so far: s ← s + g², θ ← θ - α g / √(s + ε).

    Args:
        learning_rate: α, 0.001 by default.
        initial_accumulator_value: what s starts from.
        epsilon: ε.
        options: `lr`, `weight_decay` and clipping, as in `Optimizer`.

    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning", JMLR 2011.

    >>> Adagrad(1.0, epsilon=0).rule(np.array([1.0]), np.array([2.0]), (np.array([0.0]),), 1.0, 1)
    (array([0.]), (array([4.]),))
    """

    state_names = ("squares",)
    epsilon = Positive()

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Any,
    ):
        super().__init__(learning_rate, **options)
        self.start = (between(0, initial_accumulator_value, math.inf, "initial_accumulator_value"),)
        self.epsilon = epsilon

    def rule(self, param: Any, grad: Any, state: State, learning_rate: Any, step: Any) -> tuple[Any, State]:
        """Return the parameter a step further down, and the sum of squared gradients."""
        total = state[0] + grad * grad
        return param - learning_rate * grad / np.sqrt(total + self.epsilon), (total,)


class RMSprop(Optimizer):
    """Steps divided by a running root mean square of the gradient.

    s ← ρ s + (1 - ρ) g², θ ← θ - α g / √(s + ε).

    Args:
        learning_rate: α, 0.001 by default.
        rho: ρ, how slowly the past is forgotten.
        momentum: the share of the last step that is kept.
        epsilon: ε.
        centered: whether to divide by the standard deviation of the gradient instead.
        options: `lr`, `weight_decay` and clipping, as in `Optimizer`.

    Source: Hinton, "Neural networks for machine learning", lecture 6e, 2012.

    >>> rms = RMSprop(1.0, rho=0.75, epsilon=0)
    >>> rms.rule(np.array([1.0]), np.array([2.0]), (np.array([0.0]),), 1.0, 1)
    (array([-1.]), (array([1.]),))
    """

    rho, momentum, epsilon = Positive(1), Positive(1), Positive()

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Any,
    ):
        super().__init__(learning_rate, **options)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered
        self.start = (0.0,) * (1 + bool(centered) + bool(self.momentum))

    def rule(self, param: Any, grad: Any, state: State, learning_rate: Any, step: Any) -> tuple[Any, State]:
        """Return the parameter a step further down, and the running means (and velocity)."""
        square, *rest = state
        square = self.rho * square + (1 - self.rho) * (grad * grad)
        variance, kept = square, [square]
        if self.centered:
            mean = self.rho * rest.pop(0) + (1 - self.rho) * grad
            variance = square - mean * mean
            kept.append(mean)
        move = learning_rate * grad / np.sqrt(variance + self.epsilon)
        if self.momentum:
            move = self.momentum * (rest[0] if rest else 0.0) + move
            kept.append(move)
        return param - move, tuple(kept)


class Adam(Optimizer):
    """Running means of the gradient (m) and its square (v), each corrected for having started at 0.

    m ← β₁ m + (1 - β₁) g and v ← β₂ v + (1 - β₂) g²; then θ ← θ - α_t m / (√v + ε), where
    α_t = α √(1 - β₂^t) / (1 - β₁^t) at step t.

    Args:
        learning_rate: α, 0.001 by default.
        beta_1: β₁.
        beta_2: β₂.
        epsilon: ε.
        amsgrad: whether to divide by the largest v so far.
        options: `lr`, `weight_decay` and clipping, as in `Optimizer`.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015 (the form at the end of
    section 2); Reddi, Kale and Kumar, "On the convergence of Adam and beyond", ICLR 2018.

    >>> adam, zero = Adam(0.1, epsilon=0), np.array([0.0])
    >>> adam.rule(np.array([1.0]), np.array([2.0]), (zero, zero), 0.1, 1)[0]
    array([0.9])
    """

    state_names = ("mean", "square", "largest")
    beta_1, beta_2, epsilon = Positive(1), Positive(1), Positive()

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Any,
    ):
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad
        self.start = (0.0,) * (3 if amsgrad else 2)

    def rule(self, param: Any, grad: Any, state: State, learning_rate: Any, step: Any) -> tuple[Any, State]:
        """Return the parameter a step further down, and the running means."""
        mean, square, *largest = state
        beta_1, beta_2 = self.beta_1, self.beta_2
        mean = mean + (grad - mean) * (1 - beta_1)
        square = square + (grad * grad - square) * (1 - beta_2)
        rate = learning_rate * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step)
        if not self.amsgrad:
            return param - mean * rate / (np.sqrt(square) + self.epsilon), (mean, square)
        highest = np.maximum(largest[0] if largest else 0.0, square)
        return param - mean * rate / (np.sqrt(highest) + self.epsilon), (mean, square, highest)


OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "sgd": SGD,
    "adagrad": Adagrad,
    "rmsprop": RMSprop,
    "adam": Adam,
}


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return a new optimizer with Keras's defaults by its name (in any case); an optimizer as it is.

    Raises:
        ValueError: there is none of that name; the message lists them.
        TypeError: something else, such as the class SGD where ``SGD()`` is meant.

    >>> get("adam").learning_rate
    0.001
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, (str, type)):
        raise TypeError(f"optimizer needs a name or an Optimizer, such as SGD(0.1), and got {optimizer!r}")
    found: Callable[[], Optimizer] = find(
        optimizer.lower() if isinstance(optimizer, str) else optimizer,
        OPTIMIZERS,
        "optimizer",
        "an Optimizer",
    )
    return found()
