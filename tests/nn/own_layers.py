"""Layers and models as a user writes them, in a few lines each, for the tests beside this file."""

from typing import Any

import numpy as np

from tinygrad_edu import nn


class Table(nn.Layer):
    """An embedding."""

    def __init__(self, words: int, size: int, **options: Any):
        super().__init__(**options)
        self.words, self.size = words, size

    def build(self, input_shape: Any) -> None:
        self.table = self.add_weight("table", (self.words, self.size))

    def call(self, ids: Any) -> Any:
        return self.table[ids]


class BatchNorm(nn.Layer):
    """Batch normalisation, with the moving averages that predictions use."""

    def __init__(self, momentum: float = 0.9, **options: Any):
        super().__init__(**options)
        self.momentum = momentum

    def build(self, input_shape: Any) -> None:
        size = input_shape[-1:]
        self.gain, self.shift = self.add_weight("gain", size, "ones"), self.add_weight("shift", size, "zeros")
        self.mean = self.add_weight("mean", size, "zeros", trainable=False)
        self.variance = self.add_weight("variance", size, "ones", trainable=False)

    def call(self, x: Any, training: bool = False) -> Any:
        mean, variance = self.mean, self.variance
        if training:
            mean, variance = np.mean(x, axis=0), np.var(x, axis=0)
            for kept, new in ((self.mean, mean), (self.variance, variance)):
                kept.assign(self.momentum * kept + (1 - self.momentum) * new)
        return self.gain * (x - mean) / np.sqrt(variance + 1e-3) + self.shift


class Residual(nn.Layer):
    """Two layers, and the way around them."""

    def __init__(self, units: int, **options: Any):
        super().__init__(**options)
        self.inner = [nn.Dense(units, "tanh"), nn.Dense(units)]

    def call(self, x: Any) -> Any:
        return x + self.inner[1](self.inner[0](x))


class Net(nn.Model):
    """A model that is not a chain."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(seed=seed)
        self.a = nn.Dense(8, "relu")
        self.b = nn.Dense(1)

    def call(self, x: Any) -> Any:
        return self.b(self.a(x))
