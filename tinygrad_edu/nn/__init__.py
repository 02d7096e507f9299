"""Neural networks, in Keras's words: layers, activations, losses, optimizers, and a model with `fit`.

Everything here is built on Tensors and NumPy calls, so that a layer, a loss or an optimizer of one's own
takes a few lines; the docstrings of `layers`, `losses` and `optimizers` show how.
"""

from . import (
    activations,
    callbacks,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    schedules,
)
from .activations import leaky_relu, linear, log_softmax, relu, sigmoid, softmax, softplus, tanh
from .base_optimizer import Optimizer
from .callbacks import Callback, EarlyStopping, History, LambdaCallback, TerminateOnNaN
from .initializers import set_random_seed
from .layers import Activation, Dense, Dropout, Flatten, Input, Layer
from .losses import (
    binary_crossentropy,
    categorical_crossentropy,
    mean_absolute_error,
    mean_squared_error,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    sparse_categorical_crossentropy,
)
from .model import Model
from .optimizers import SGD, Adagrad, Adam, RMSprop
from .sequential import Sequential

__all__ = [
    "SGD",
    "Activation",
    "Adagrad",
    "Adam",
    "Callback",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "Flatten",
    "History",
    "Input",
    "LambdaCallback",
    "Layer",
    "Model",
    "Optimizer",
    "RMSprop",
    "Sequential",
    "TerminateOnNaN",
    "activations",
    "binary_crossentropy",
    "callbacks",
    "categorical_crossentropy",
    "initializers",
    "layers",
    "leaky_relu",
    "linear",
    "log_softmax",
    "losses",
    "mean_absolute_error",
    "mean_squared_error",
    "metrics",
    "optimizers",
    "relu",
    "schedules",
    "set_random_seed",
    "sigmoid",
    "sigmoid_cross_entropy",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "sparse_categorical_crossentropy",
    "tanh",
]


def __dir__() -> list[str]:
    return sorted(__all__)
