"""Metrics: what people want to know about predictions, next to the loss.

A metric is a function of ``(y_true, y_pred)``, plain arrays, that returns one number for each example, or one
for all of them; `fit` and `evaluate` average over the examples.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from . import losses
from .lookup import as_array, find

Metric: TypeAlias = Callable[[Any, Any], Any]


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Tell, for each example, whether the most probable class is the one of its one-hot label.

    Raises:
        ValueError: the labels have another shape than the predictions.

    >>> categorical_accuracy(np.array([[0, 1], [1, 0]]), np.array([[0.4, 0.6], [0.3, 0.7]]))
    array([ True, False])
    """
    y_true, y_pred = as_array(y_true), as_array(y_pred)
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"categorical_accuracy needs one-hot labels of the predictions' shape {y_pred.shape}, and got "
            f"{y_true.shape}; for integer labels use sparse_categorical_accuracy"
        )
    return np.equal(y_true.argmax(-1), y_pred.argmax(-1))


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Tell, for each example, whether the most probable class is its integer label.

    Raises:
        ValueError: there is not one label for each example.

    >>> sparse_categorical_accuracy(np.array([1, 0]), np.array([[0.4, 0.6], [0.3, 0.7]]))
    array([ True, False])
    """
    y_true, y_pred = as_array(y_true), as_array(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    if y_true.shape != y_pred.shape[:-1]:
        raise ValueError(
            f"sparse_categorical_accuracy needs integer labels of shape {y_pred.shape[:-1]}, and got "
            f"{y_true.shape}; for one-hot labels use categorical_accuracy"
        )
    return np.equal(y_true, y_pred.argmax(-1))


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """Tell, for each example, how many of its predictions are on the same side of a threshold as its labels.

    >>> binary_accuracy(np.array([1, 0]), np.array([[0.8], [0.7]]))
    array([1., 0.])
    """
    y_true, y_pred = losses.matched("binary_accuracy", y_true, y_pred)
    hits = np.equal(y_true, np.greater(y_pred, threshold))
    return hits.reshape(len(hits), -1).mean(-1)


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """Tell how often predictions are right, by the accuracy that fits the shape of the labels, as in Keras.

    One output each is binary, labels in the predictions' shape are one-hot, others are integers.

    >>> accuracy(np.array([1, 0]), np.array([[0.4, 0.6], [0.3, 0.7]]))
    array([ True, False])
    """
    y_true, y_pred = as_array(y_true), as_array(y_pred)
    if y_pred.ndim < 2 or y_pred.shape[-1] == 1:
        return binary_accuracy(y_true, y_pred)
    return (categorical_accuracy if y_true.shape == y_pred.shape else sparse_categorical_accuracy)(
        y_true, y_pred
    )


METRICS: dict[str, Metric] = {
    **losses.LOSSES,
    "accuracy": accuracy,
    "acc": accuracy,
    "categorical_accuracy": categorical_accuracy,
    "sparse_categorical_accuracy": sparse_categorical_accuracy,
    "binary_accuracy": binary_accuracy,
}


def get(metric: str | Metric) -> tuple[str, Metric]:
    """Return a metric with the name that it has in `History`.

    Raises:
        ValueError: there is none of that name; the message lists them.

    >>> get("accuracy")[0], get(binary_accuracy)[0]
    ('accuracy', 'binary_accuracy')
    """
    found = find(metric, METRICS, "metric", "a function of (y_true, y_pred)")
    return (metric if isinstance(metric, str) else getattr(metric, "__name__", type(metric).__name__)), found
