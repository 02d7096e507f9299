"""Losses: the objective J that training makes small, as a scalar averaged over the batch.

The one idea: minus the logarithm of the probability given to the true label. With a softmax in front, its
gradient with respect to the logits is (ŷ - y) / N; `softmax_cross_entropy` is that pair as one recorded call.
The losses with Keras's names take ``(y_true, y_pred)``, probabilities included; where those come straight out
of a softmax or sigmoid, they go back to its logits, so that nothing is lost to rounding.

A loss of one's own is a function of ``(y_true, y_pred)`` that returns a scalar::

    def log_cosh(y_true, y_pred):
        return np.mean(np.log(np.cosh(y_pred - y_true)))

    model.compile("sgd", loss=log_cosh)

With `labels` above its def it also says which labels it takes, so that a model can check and convert them.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np

from ..recording import Recorded
from ..rules import NoGradientRule, reads
from ..rules.primitive import primitive
from ..tracing import concrete_values
from .activations import exponentials, sigmoid, softmax, softplus
from .lookup import as_array, find

Loss: TypeAlias = Callable[[Any, Any], Any]
Kind: TypeAlias = Literal["numbers", "classes", "probabilities"]


def labels(*kinds: Kind) -> Callable[[Loss], Loss]:
    """Say, above a loss, which labels it takes; a model then checks all of them before it learns from any.

    Args:
        kinds: "numbers", like the predictions, whose type integers are converted to; "classes", integers from
            0 to K - 1; "probabilities", rows that sum to 1, such as one-hot labels. One or several of them.
            A loss that says nothing gets its labels as they are.

    Raises:
        ValueError: another kind.

    >>> @labels("classes")
    ... def hinge(y_true, y_pred):
    ...     right = np.take_along_axis(y_pred, y_true[:, None], 1)
    ...     return np.mean(np.maximum(0, 1 + y_pred - right))
    >>> hinge.labels
    ('classes',)
    """
    known = ("numbers", "classes", "probabilities")
    for kind in kinds:
        if kind not in known:
            raise ValueError(f"labels are {', '.join(map(repr, known))}, and not {kind!r}")

    def say(loss: Loss) -> Loss:
        loss.labels = kinds  # type: ignore[attr-defined]
        return loss

    return say


def targets(labels: Any, z: Any) -> Any:
    """Return labels as probabilities in the shape of the logits: as they are, or one-hot from integers."""
    labels = as_array(labels)
    return labels if labels.ndim == z.ndim else np.equal(labels[..., None], np.arange(z.shape[-1]))


def no_gradient(g: Any, y: Any, z: Any, labels: Any, **_: Any) -> Any:
    """Refuse labels that a gradient is wanted for, since those are often logits in the wrong place."""
    raise NoGradientRule(
        "the cross-entropy of (logits, labels) has no gradient for its labels; swap the two if the logits "
        "came second, or give labels.detach() if no gradient should flow into them"
    )


@functools.cache
def _largest(dtype: Any) -> Any:
    return np.finfo(dtype).max


def rows(z: Any) -> int:
    """Count the examples N in logits of shape (N, K)."""
    return int(z.size // z.shape[-1])


@primitive(
    lambda g, y, z, labels, saved=None: (
        ((softmax(z) if saved is None else saved) - targets(labels, z)) * (g / rows(z))
    ),
    no_gradient,
    saves=True,  # the probabilities, which the loss needs on its way
)
def softmax_cross_entropy(z: Any, labels: Any) -> Any:
    """Return J = -(1/N) Σ_i Σ_k y_k log softmax(z)_k: the cross-entropy of logits, averaged over the batch.

    One recorded call, with the gradient that every course derives: (softmax(z) - y) / N.

    Args:
        z: logits of shape (N, K), any finite numbers; no size of them overflows. Minus infinity rules a class
            out: its probability and gradient are 0, and an example of this class costs the largest number.
        labels: one-hot labels or probabilities of shape (N, K), whose rows sum to 1; or integers 0 to K - 1
            of shape (N,). No gradient flows into them.

    Raises:
        ValueError: shapes that do not fit each other, labels outside 0 to K - 1, rows that do not sum to 1.
        TypeError: labels that are neither integers nor in the shape of the logits.

    Source: Bishop, Pattern Recognition and Machine Learning, equations 4.108 and 4.109.

    >>> import tinygrad_edu as tg
    >>> z = tg.Tensor([[0.0, 0.0], [1000.0, 0.0]], requires_grad=True)
    >>> loss = softmax_cross_entropy(z, np.array([0, 1]))
    >>> float(loss.data.round(4))
    500.3466
    >>> loss.backward()
    >>> z.grad
    Tensor([[-0.25,  0.25],
            [ 0.5 , -0.5 ]])
    """
    z, labels = as_array(z), as_array(labels)
    check_labels(z, labels)
    shifted, powers, total = exponentials(z)
    costs = np.minimum(np.log(total) - shifted, _largest(shifted.dtype))  # finite: 0 · ∞ would be NaN
    return np.vdot(targets(labels, z), costs) / rows(z), powers / total


def check_labels(z: Any, labels: Any) -> None:
    """Refuse labels that do not fit the logits; their values are looked at only where they are at hand."""
    values = concrete_values(labels)
    if labels.shape == z.shape:
        n = rows(z)
        if values is not None and abs(float(np.add.reduce(values, None)) - n) > 1e-3 * n:
            raise ValueError(
                "each row of labels must sum to 1 (one-hot, or probabilities); these sum to "
                f"{values.sum() / n:.4g} on average; divide them by labels.sum(-1, keepdims=True)"
            )
    elif labels.shape == z.shape[:-1]:
        if labels.dtype.kind not in "iu":
            raise TypeError(
                f"labels of shape {labels.shape} for logits of shape {z.shape} must be integers, and are "
                f"{labels.dtype}; write labels.astype(int), or give one-hot labels of shape {z.shape}"
            )
        if values is not None and values.size and not 0 <= values.min() <= values.max() < z.shape[-1]:
            raise ValueError(
                f"labels for {z.shape[-1]} classes must be 0 to {z.shape[-1] - 1}, and these go from "
                f"{values.min()} to {values.max()}"
            )
    else:
        raise ValueError(
            f"logits of shape {z.shape} need labels of the same shape (one-hot) or of shape {z.shape[:-1]} "
            f"(integers), and got {labels.shape}"
        )


@reads("(sigmoid({z}) − {labels})")
def surplus(z: Any, labels: Any) -> Any:
    """Return sigmoid(z) - y as (1 - y) ŷ - y (1 - ŷ), which is not 0 where ŷ rounds to 1."""
    return (1 - labels) * sigmoid(z) - labels * sigmoid(-z)


@primitive(lambda g, y, z, labels: surplus(z, labels) * (g / z.size), no_gradient)
def sigmoid_cross_entropy(z: Any, labels: Any) -> Any:
    """Return the mean of -[y log ŷ + (1 - y) log(1 - ŷ)] with ŷ = sigmoid(z): binary cross-entropy of logits.

    Args:
        z: logits of any shape, infinities included.
        labels: 0, 1 or a probability for each, in the same shape. No gradient flows into them.

    Raises:
        ValueError: the shapes differ.

    Source: Bishop, Pattern Recognition and Machine Learning, equations 4.90 and 4.91.

    >>> float(sigmoid_cross_entropy(np.array([0.0, 1000.0]), np.array([1.0, 1.0])).round(4))
    0.3466
    """
    z, labels = as_array(z), as_array(labels)
    if labels.shape != z.shape:
        raise ValueError(f"logits of shape {z.shape} need labels of the same shape, and got {labels.shape}")
    yes, no = labels, 1 - labels
    return np.mean(yes * np.where(yes, softplus(-z), 0) + no * np.where(no, softplus(z), 0))  # 0 log 0 is 0


@labels("numbers")
def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """Return MSE = (1/N) Σ (y - ŷ)², averaged over all elements.

    >>> float(mean_squared_error(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    y_true, y_pred = matched("mean_squared_error", y_true, y_pred)
    return np.mean(np.square(y_pred - y_true))


@labels("numbers")
def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """Return MAE = (1/N) Σ |y - ŷ|, averaged over all elements; its slope where y = ŷ is taken as 0.

    >>> float(mean_absolute_error(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """
    y_true, y_pred = matched("mean_absolute_error", y_true, y_pred)
    return np.mean(np.abs(y_pred - y_true))


@labels("numbers")
def binary_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Any:
    """Return the mean of -[y log ŷ + (1 - y) log(1 - ŷ)] over all elements.

    Args:
        y_true: 0, 1 or a probability for each prediction.
        y_pred: probabilities of a yes, in the same shape. Straight out of `sigmoid`, its logits are used
            instead (see `sigmoid_cross_entropy`). Of others the logarithm is taken; only what has rounded to
            0 counts as the smallest normal number of its type, a loss of 87 in float32, 708 in float64, and
            what has rounded to 1 as the largest number below 1, a loss of 17 or 37. (Keras cuts at 1e-7, a
            loss of 16.)
        from_logits: whether `y_pred` holds logits.

    Raises:
        ValueError: the shapes differ.

    >>> float(binary_crossentropy(np.array([1.0, 0.0]), np.array([0.5, 0.5])).round(4))
    0.6931
    """
    y_true, y_pred = matched("binary_crossentropy", y_true, y_pred)
    logits = y_pred if from_logits else logits_behind(y_pred, sigmoid)
    if logits is not None:
        return sigmoid_cross_entropy(logits, y_true)
    limits = np.finfo(np.result_type(y_pred.dtype, np.float16))
    yes = np.log(y_pred + limits.tiny * (y_pred < limits.tiny))
    no = np.log1p(limits.epsneg * (y_pred == 1) - y_pred)
    return 0 - np.mean(y_true * yes + (1 - y_true) * no)  # the loss of perfect predictions is 0, and not -0


@labels("probabilities")
def categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Any:
    """Return J = -(1/N) Σ_i Σ_k y_k log ŷ_k, averaged over the batch.

    Args:
        y_true: one-hot labels or probabilities, of shape (N, K).
        y_pred: predicted probabilities of shape (N, K). Recorded and straight out of `softmax`, its logits
            are used instead (see `softmax_cross_entropy`). Of others the logarithm is taken,
            which is the same to rounding, also for plain arrays and under `no_grad`; only what has rounded
            to 0 counts as the smallest normal number of its type: a loss of 87 in float32, 708 in float64
            (Keras cuts at 1e-7, a loss of 16).
        from_logits: whether `y_pred` holds logits.

    Raises:
        ValueError: integer labels, shapes that differ, or predictions that are not probabilities.
        NoGradientRule: labels that need a gradient, as predictions in their place would.

    >>> float(categorical_crossentropy(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])).round(4))
    0.6931
    """
    y_true, y_pred = as_array(y_true), as_array(y_pred)
    check_order("categorical_crossentropy", y_true)
    if y_true.shape != y_pred.shape:
        raise ValueError(_not_one_hot(y_true, y_pred))
    logits = y_pred if from_logits else logits_behind(y_pred, softmax)
    if logits is not None:
        return softmax_cross_entropy(logits, y_true)
    return np.vdot(y_true, -log_probabilities("categorical_crossentropy", y_pred)) / rows(y_pred)


@labels("classes")
def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Any:
    """Return the categorical cross-entropy for integer labels 0 to K - 1, of shape (N,) or (N, 1).

    Everything else is as in `categorical_crossentropy`.

    Raises:
        ValueError: there is not one label for each row of predictions.

    >>> float(sparse_categorical_crossentropy(np.array([1]), np.array([[0.5, 0.5]])).round(4))
    0.6931
    """
    y_true, y_pred = as_array(y_true), as_array(y_pred)
    check_order("sparse_categorical_crossentropy", y_true)
    if y_true.ndim == y_pred.ndim:
        if y_true.shape[-1] != 1 or y_pred.shape[-1] == 1:
            raise ValueError(
                "sparse_categorical_crossentropy needs integer labels, one for each row of predictions of "
                f"shape {y_pred.shape}, and got shape {y_true.shape}; for one-hot labels use "
                "categorical_crossentropy, for a single output binary_crossentropy"
            )
        y_true = y_true[..., 0]
    logits = y_pred if from_logits else logits_behind(y_pred, softmax)
    if logits is not None:
        return softmax_cross_entropy(logits, y_true)
    check_labels(y_pred, y_true)
    logs = log_probabilities("sparse_categorical_crossentropy", y_pred)
    return np.vdot(targets(y_true, y_pred), -logs) / rows(y_pred)


def check_order(loss: str, y_true: Any) -> None:
    """Refuse labels that need a gradient, since those are most often predictions in the wrong place."""
    if isinstance(y_true, Recorded) and y_true.node is not None:
        raise NoGradientRule(
            f"the labels of {loss} come first and get no gradient, and these need one; are the two swapped? "
            f"Write {loss}(y_true, y_pred), or give y_true.detach() if no gradient should flow into it"
        )


def log_probabilities(loss: str, p: Any) -> Any:
    """Return log p after checking, where the values are at hand, that the rows of p are probabilities."""
    values = concrete_values(p)
    if values is not None and values.size:
        sums = values.sum(-1, dtype=np.float64)
        wrong = (np.abs(sums - 1) > 1e-3) | (values < 0).any(-1)
        if wrong.any():
            row = tuple(np.argwhere(wrong)[0].tolist())
            found = f"sums to {sums[row]:.4g}" if values[row].min() >= 0 else f"holds {values[row].min():.4g}"
            raise ValueError(
                f"{loss} needs probabilities, rows of numbers from 0 up that sum to 1, and a row of these "
                f"predictions {found}; end the model with a softmax, or, if they are logits, use "
                "softmax_cross_entropy or from_logits=True"
            )
    tiny = np.finfo(np.result_type(p.dtype, np.float16)).tiny
    return np.log(p + tiny * (p < tiny))


def logits_behind(y_pred: Any, activation: Any) -> Any:
    """Return the Tensor that an activation was applied to in order to make `y_pred`, if one was.

    Not where somebody waits for the gradient of `y_pred` itself, which going back to the logits would skip.
    """
    if not isinstance(y_pred, Recorded) or y_pred.node is None or y_pred.keeps_grad or y_pred.hooks:
        return None
    return y_pred.node.args[0] if y_pred.node.fn is activation.__wrapped__ else None


def matched(loss: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Check that labels have the shape of predictions; (N,) and (N, 1) are the same to Keras, and to us."""
    y_true, y_pred = alike(as_array(y_true), as_array(y_pred)), as_array(y_pred)
    if y_true.shape == y_pred.shape:
        return y_true, y_pred
    raise ValueError(
        f"{loss} compares labels and predictions element by element, and got labels of shape "
        f"{y_true.shape} for predictions of shape {y_pred.shape}"
    )


def alike(y_true: Any, y_pred: Any) -> Any:
    """Return labels of shape (N,) for predictions of shape (N, 1) in their shape, and the other way round.

    Else the two would broadcast to (N, N) in a loss of one's own, without a word.
    """
    lengths = {y_true.shape, y_pred.shape}
    column = (*y_true.shape, 1) in lengths or (*y_pred.shape, 1) in lengths
    return y_true.reshape(y_pred.shape) if column else y_true


def _not_one_hot(y_true: Any, y_pred: Any) -> str:
    """Say what to do about labels in another shape than the predictions."""
    if y_true.dtype.kind in "iu" and y_true.shape in (y_pred.shape[:-1], (*y_pred.shape[:-1], 1)):
        return (
            f"categorical_crossentropy needs one-hot labels of shape {y_pred.shape}, and got integers of "
            f"shape {y_true.shape}; use sparse_categorical_crossentropy, or one-hot labels: "
            f"one_hot(labels, {y_pred.shape[-1]})"
        )
    return (
        f"categorical_crossentropy needs labels of the predictions' shape {y_pred.shape}, "
        f"and got {y_true.shape}"
    )


@labels("classes", "probabilities")
def softmax_of_logits(y_true: Any, y_pred: Any) -> Any:
    """Return `softmax_cross_entropy` in the order of Keras's losses; refuse what is a softmax already."""
    check_logits(y_pred, softmax, "softmax_cross_entropy", "categorical_crossentropy")
    return softmax_cross_entropy(y_pred, y_true)


@labels("numbers")
def sigmoid_of_logits(y_true: Any, y_pred: Any) -> Any:
    """Return `sigmoid_cross_entropy` in the order of Keras's losses; refuse what is a sigmoid already."""
    check_logits(y_pred, sigmoid, "sigmoid_cross_entropy", "binary_crossentropy")
    return sigmoid_cross_entropy(y_pred, y_true)


def check_logits(y_pred: Any, activation: Any, loss: str, other: str) -> None:
    """Refuse predictions that the activation, which the loss contains, has been applied to already."""
    if isinstance(y_pred, Recorded) and y_pred.node is not None and y_pred.node.fn is activation.__wrapped__:
        name = activation.__wrapped__.__name__
        raise ValueError(
            f"{loss} takes logits and applies a {name} itself, and these predictions come out of a {name} "
            f'already; use loss="{other}", or leave the activation of the last layer out'
        )


LOSSES: dict[str, Loss] = {
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "binary_crossentropy": binary_crossentropy,
    "categorical_crossentropy": categorical_crossentropy,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
    "softmax_cross_entropy": softmax_of_logits,
    "sigmoid_cross_entropy": sigmoid_of_logits,
}
for short, full in {"mse": "mean_squared_error", "mae": "mean_absolute_error"}.items():
    LOSSES[short] = LOSSES[short.upper()] = LOSSES[full]


def get(loss: str | Loss) -> Loss:
    """Return a loss as a function of ``(y_true, y_pred)``, by its name or as the function itself.

    Raises:
        ValueError: there is none of that name; the message lists them.

    >>> get("mse") is mean_squared_error
    True
    """
    if loss is softmax_cross_entropy or loss is sigmoid_cross_entropy:  # which take the logits first
        loss = "softmax_cross_entropy" if loss is softmax_cross_entropy else "sigmoid_cross_entropy"
    found: Loss = find(loss, LOSSES, "loss", "a function of (y_true, y_pred)")
    return found
