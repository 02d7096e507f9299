"""Learning-rate schedules: a learning rate that is a function of how many steps have been taken.

Give one to an optimizer in place of a number. Any function will do: ``SGD(lambda step: 0.1 / (1 + step))``.
Names, arguments and formulas are Keras's.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class _Decay:
    """What decays share: a start, a rate for every `decay_steps` steps, and whether to fall in stairs."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False

    def periods(self, step: float) -> float:
        """Count how many times `decay_steps` steps have been taken: on a staircase, only whole times."""
        part = step / self.decay_steps
        return math.floor(part) if self.staircase else part


class ExponentialDecay(_Decay):
    """Multiplies the rate by `decay_rate` every `decay_steps` steps, smoothly or (`staircase`) at once.

    >>> ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)(200)
    0.025
    """

    def __call__(self, step: float) -> float:
        """Return the learning rate after `step` steps."""
        rate: float = self.initial_learning_rate * self.decay_rate ** self.periods(step)
        return rate


class InverseTimeDecay(_Decay):
    """Divides the rate by ``1 + decay_rate * step / decay_steps``.

    >>> InverseTimeDecay(0.1, decay_steps=1, decay_rate=0.5)(2)
    0.05
    """

    def __call__(self, step: float) -> float:
        """Return the learning rate after `step` steps."""
        return self.initial_learning_rate / (1 + self.decay_rate * self.periods(step))


class PiecewiseConstantDecay:
    """Changes the rate at given steps: ``values[0]`` up to and including ``boundaries[0]``, and so on.

    Raises:
        ValueError: there is not one value more than boundaries.

    >>> rate = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
    >>> rate(100), rate(101), rate(1000)
    (0.1, 0.01, 0.001)
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float]):
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"{len(boundaries)} boundaries part {len(boundaries) + 1} values, not {len(values)}"
            )
        self.boundaries, self.values = boundaries, values

    def __call__(self, step: float) -> float:
        """Return the learning rate after `step` steps."""
        return self.values[bisect_left(self.boundaries, step)]


@dataclass(frozen=True)
class CosineDecay:
    """Lowers the rate along half a cosine to `alpha` times its start, over `decay_steps` steps.

    Source: Loshchilov and Hutter, "SGDR: Stochastic gradient descent with warm restarts", ICLR 2017.

    >>> CosineDecay(0.1, decay_steps=100)(50)
    0.05
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0

    def __call__(self, step: float) -> float:
        """Return the learning rate after `step` steps."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(step / self.decay_steps, 1)))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)
