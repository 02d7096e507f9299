"""Labels as one-hot vectors, and training sets cut into batches."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..recording import Recorded
from ..tracing import concrete_values


def one_hot(labels: Any, classes: int) -> Any:
    """Return labels as one-hot vectors: 1 in the place of the label, 0 elsewhere.

    Args:
        labels: integers from 0 to ``classes - 1``, in any shape.
        classes: how many classes there are. It is not guessed from the labels: a few of them may lack one.

    Returns:
        float32 of shape ``labels.shape + (classes,)``.

    Raises:
        TypeError: labels that are not integers.
        ValueError: a label outside 0 to ``classes - 1``.

    Source: the 1-of-K scheme of Bishop, Pattern Recognition and Machine Learning, section 2.2.

    >>> one_hot([2, 0], classes=3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    integers = labels.data if isinstance(labels, Recorded) else labels
    if not hasattr(integers, "__array_function__"):  # a list, say, and no array under capture
        integers = np.asarray(integers)
    if integers.dtype.kind not in "iu" and integers.size:
        raise TypeError(
            f"one_hot needs integer labels, and these are {integers.dtype}; "
            "write labels.astype(int) if they are whole numbers"
        )
    values = concrete_values(integers)
    wrong = np.empty(0) if values is None else values[(values < 0) | (values >= classes)]
    if wrong.size:
        raise ValueError(
            f"one_hot with {classes} classes needs labels 0 to {classes - 1}, and got {wrong[0]}"
        )
    return (integers[..., None] == np.arange(classes)).astype(np.float32)


def batches(
    x: Any, y: Any, batch_size: int, shuffle: bool = True, seed: int | np.random.Generator | None = None
) -> Iterator[tuple[Any, Any]]:
    """Cut a training set into batches, in random order: one pass (an epoch) over all examples.

    Every example comes once. The last batch is smaller where `batch_size` does not divide their number.

    Args:
        x: the inputs, with examples along the first axis.
        y: the labels, as many.
        batch_size: examples a batch: 1 for stochastic gradient descent, ``len(x)`` for batch gradient
            descent, between them for mini-batches.
        shuffle: whether to draw a random order first.
        seed: a number for the same order every time; a `numpy.random.Generator`, shared by all epochs of a
            run, for a new order each epoch that repeats with the run.

    Raises:
        ValueError: x and y of different lengths, or a batch size below 1.

    >>> for x, y in batches(np.arange(5), np.arange(5) * 10, batch_size=2, shuffle=False):
    ...     print(x, y)
    [0 1] [ 0 10]
    [2 3] [20 30]
    [4] [40]
    """
    n = len(x)
    if len(y) != n:
        raise ValueError(f"batches needs one label an example, and got {n} examples and {len(y)} labels")
    if batch_size < 1:
        raise ValueError(f"batches needs a batch_size of at least 1, and got {batch_size}")
    order = np.random.default_rng(seed).permutation(n) if shuffle else np.arange(n)
    pieces = (order[start : start + batch_size] for start in range(0, n, batch_size))
    return ((x[piece], y[piece]) for piece in pieces)
