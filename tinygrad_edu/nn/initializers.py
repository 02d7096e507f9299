"""Initializers: the numbers that weights start from.

The one idea: weights are drawn so that a layer neither swells nor shrinks what passes through it. Their
variance is `scale` divided by the number of inputs (fan-in), of outputs (fan-out) or the average of the two.
Formulas and defaults are Keras's.

An initializer of one's own is a function: ``def halves(shape, dtype): return np.full(shape, 0.5, dtype)``.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .. import random
from .config import Configured
from .lookup import find

Shape: TypeAlias = tuple[int, ...]


def set_random_seed(seed: int | None) -> None:
    """Make what has no seed of its own (weights, shuffling, dropout) repeat: `random.seed` by Keras's name.

    >>> set_random_seed(7)
    >>> first = RandomNormal()((2,))
    >>> set_random_seed(7)
    >>> bool(np.all(RandomNormal()((2,)) == first))
    True
    """
    random.seed(seed)


class Initializer(Configured):
    """Draws the first values of a weight: ``initializer(shape, dtype)``.

    With a `seed`, every call draws the same values; without, from the generator it is given, or a shared one.
    """

    def __init__(self, seed: int | None = None):
        self.seed = seed

    def __call__(
        self, shape: Shape, dtype: Any = np.float32, generator: np.random.Generator | None = None
    ) -> Any:
        """Return an array of the given shape and dtype."""
        if self.seed is not None:
            generator = np.random.default_rng(self.seed)
        return self.draw(tuple(shape), generator or random.generator()).astype(dtype)

    def draw(self, shape: Shape, generator: np.random.Generator) -> Any:
        """Return float64 values of the given shape; each initializer says how."""
        raise NotImplementedError(f"{type(self).__name__} needs a method draw(self, shape, generator)")


class Zeros(Initializer):
    """All zeros.

    >>> Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    def draw(self, shape: Shape, generator: np.random.Generator) -> Any:
        """Return zeros."""
        return np.zeros(shape)


class Ones(Initializer):
    """All ones.

    >>> Ones()((2,))
    array([1., 1.], dtype=float32)
    """

    def draw(self, shape: Shape, generator: np.random.Generator) -> Any:
        """Return ones."""
        return np.ones(shape)


class RandomNormal(Initializer):
    """Draws from a normal distribution of the given mean and standard deviation.

    >>> RandomNormal(stddev=0.01, seed=0)((2, 3)).shape
    (2, 3)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None):
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def draw(self, shape: Shape, generator: np.random.Generator) -> Any:
        """Return normal numbers."""
        return generator.normal(self.mean, self.stddev, shape)


class RandomUniform(Initializer):
    """Draws evenly between two bounds.

    >>> bool(np.all(np.abs(RandomUniform(-1, 1, seed=0)((50,))) <= 1))
    True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None):
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def draw(self, shape: Shape, generator: np.random.Generator) -> Any:
        """Return uniform numbers."""
        return generator.uniform(self.minval, self.maxval, shape)


class _VarianceScaling(Initializer):
    """Draws with variance ``scale / fan``: evenly, or from a normal cut off at two standard deviations."""

    scale = 1.0
    normal = False

    def fan(self, fan_in: int, fan_out: int) -> float:
        """Return the number that the variance is divided by: here the average of fan-in and fan-out."""
        return (fan_in + fan_out) / 2

    def draw(self, shape: Shape, generator: np.random.Generator) -> Any:
        """Return numbers of the wanted variance."""
        variance = self.scale / max(1.0, self.fan(*fans(shape)))
        if self.normal:
            return truncated_normal(shape, generator) * (math.sqrt(variance) / CUT_OFF_STDDEV)
        limit = math.sqrt(3 * variance)
        return generator.uniform(-limit, limit, shape)


class GlorotUniform(_VarianceScaling):
    """Draws evenly within ±sqrt(6 / (fan_in + fan_out)): the default of `Dense`.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010, equation 16.

    >>> bool(np.abs(GlorotUniform(seed=0)((4, 2))).max() <= 1)
    True
    """


class GlorotNormal(_VarianceScaling):
    """Draws from a truncated normal of standard deviation sqrt(2 / (fan_in + fan_out)).

    Source: Glorot and Bengio, AISTATS 2010.

    >>> GlorotNormal(seed=0)((4, 2)).dtype
    dtype('float32')
    """

    normal = True


class HeUniform(_VarianceScaling):
    """Draws evenly within ±sqrt(6 / fan_in): for layers with relu.

    Source: He et al., "Delving deep into rectifiers", ICCV 2015.

    >>> bool(np.abs(HeUniform(seed=0)((6, 2))).max() <= 1)
    True
    """

    scale = 2.0

    def fan(self, fan_in: int, fan_out: int) -> float:
        """Return the fan-in."""
        return fan_in


class HeNormal(HeUniform):
    """Draws from a truncated normal of standard deviation sqrt(2 / fan_in): for layers with relu.

    Source: He et al., "Delving deep into rectifiers", ICCV 2015, equation 10.

    >>> HeNormal(seed=0)((6, 2)).shape
    (6, 2)
    """

    normal = True


# the standard deviation of a standard normal distribution cut off at ±2
CUT_OFF_STDDEV = 0.87962566103423978


def truncated_normal(shape: Shape, generator: np.random.Generator) -> Any:
    """Draw standard normal numbers, again and again where they fall beyond ±2."""
    values = generator.standard_normal(shape)
    while (beyond := np.abs(values) > 2).any():
        values = np.where(beyond, generator.standard_normal(shape), values)
    return values


def fans(shape: Shape) -> tuple[int, int]:
    """Return fan-in and fan-out of a weight (..., inputs, units): what feeds one unit, what one input feeds.

    >>> fans((784, 10)), fans((3, 3, 16, 32))
    ((784, 10), (144, 288))
    """
    if len(shape) < 2:
        n = shape[0] if shape else 1
        return n, n
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


INITIALIZERS: dict[str, Callable[[], Initializer]] = {
    "zeros": Zeros,
    "ones": Ones,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
}


def get(initializer: Any) -> Callable[..., Any]:
    """Return an initializer by its name; an initializer, or a function of ``(shape, dtype)``, as it is.

    Raises:
        ValueError: there is none of that name; the message lists them.

    >>> get("zeros")((2,))
    array([0., 0.], dtype=float32)
    """
    found: Any = find(initializer, INITIALIZERS, "initializer", "a function of (shape, dtype)")
    made: Callable[..., Any] = found() if isinstance(initializer, str) else found
    return made
