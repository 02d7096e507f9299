"""Examples: what a model learns from and is asked about, checked and converted once, before the first step.

The one idea: a mistake in the data is found for all examples at once, and says which of them it is in. What
labels should be like, the loss says (see `losses.labels`); what inputs should be like, the model.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..callsites import warn
from ..containers import leaves, tree_map
from ..recording import Recorded
from .lookup import is_several

if TYPE_CHECKING:
    from .model import Model


def taken(x: Any, which: Any) -> Any:
    """Take some examples out of an input, or of several: those of a slice, or of an array of numbers.

    >>> taken({"a": np.arange(4), "b": np.arange(8).reshape(4, 2)}, np.array([3, 0]))
    {'a': array([3, 0]), 'b': array([[6, 7],
           [0, 1]])}
    """
    return tree_map(lambda part: part[which] if type(which) is slice else part.take(which, 0), x)


def count(x: Any) -> int:
    """Count the examples of an input, or of several."""
    return len(leaves(x)[0])


def inputs_for(model: "Model", x: Any) -> Any:
    """Convert inputs to what the model computes with.

    Raises:
        ValueError: a single number, several inputs of different lengths, or a shape that does not fit.
    """
    if is_several(x):
        parts = tree_map(lambda part: model.cast(_array(part, "x")), x)
        lengths = [len(part) for part in leaves(parts)]
        if len(set(lengths)) > 1:
            raise ValueError(f"all inputs need as many examples, and these have {lengths}")
        return parts
    x = _array(x, "x")
    expected = model.shape_of_examples(x)
    if expected is not None and x.shape[1:] != tuple(expected):
        raise ValueError(
            f"this model takes inputs of shape {('N', *expected)}, N examples of shape {tuple(expected)}"
            f"; x has shape {x.shape}"
        )
    return model.cast(x)


def examples_for(model: "Model", x: Any, y: Any) -> tuple[Any, Any]:
    """Convert inputs and labels, and check that they fit each other, the model and its loss.

    Raises:
        ValueError: they do not; the message says where.
    """
    x = inputs_for(model, x)
    y = np.asarray(y.data if isinstance(y, Recorded) else y)
    if y.ndim == 0 or count(x) != len(y):
        raise ValueError(
            f"each example needs one label: x has shape {tree_map(np.shape, x)} and y {y.shape}; "
            "their first axes should be equally long"
        )
    if len(y) == 0:
        raise ValueError("there are no examples: x and y are empty")
    kinds = getattr(model.loss, "labels", ())
    as_numbers = y.ndim > 1 and y.shape[-1] > 1  # one-hot labels, which count as numbers
    if y.dtype.kind in "fb" or (y.dtype.kind in "iu" and (as_numbers or "numbers" in kinds)):
        y = y.astype(model.output_dtype, copy=False)
    if "probabilities" in kinds and y.dtype.kind == "f" and y.ndim > 1:
        _check_rows(y)
    if model.output_shape is None:
        model.try_out_on(taken(x, slice(0, 1)))
    if "classes" in kinds and y.dtype.kind in "iu" and not as_numbers:
        _check_classes(y, model.output_shape)
    return x, y


def finite_examples_for(model: "Model", x: Any, y: Any) -> tuple[Any, Any]:
    """Do what `examples_for` does, and look for NaN and infinity.

    Warns:
        RuntimeWarning: there are some; the message says where the first is. A model may be made for them.
    """
    x, y = examples_for(model, x, y)
    for name, data in (("x", x), ("y", y)):
        for part in leaves(data):
            if part.dtype.kind == "f" and not np.isfinite(part).all():
                broken = np.argwhere(~np.isfinite(part))
                first = tuple(broken[0].tolist())
                at = ", column ".join(map(str, first[:2])) + "".join(f", {i}" for i in first[2:])
                warn(
                    f"{name} is {part[first]} in row {at} (and so in {len(np.unique(broken[:, 0]))} of "
                    f"{len(part)} examples), which makes the loss NaN; leave such examples out, or fill them "
                    "in with np.nan_to_num"
                )
    return x, y


def apart(model: "Model", x: Any, y: Any, share: float, given: Any) -> tuple[Any, Any, Any]:
    """Return examples to train on, and others for validation: the ones given, or the last share, or None."""
    x, y = finite_examples_for(model, x, y)
    if given is not None:
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise ValueError(
                f"validation_data is a pair (x_test, y_test) of inputs and labels, and is {_described(given)}"
            )
        return x, y, finite_examples_for(model, *given)
    if not 0 <= share < 1:
        raise ValueError(f"validation_split is the share kept aside, from 0 up to but not 1, not {share}")
    kept = int(len(y) * (1 - share))  # as Keras rounds
    if kept == 0:
        raise ValueError(f"validation_split={share} leaves none of {len(y)} examples to train on")
    first, last = slice(0, kept), slice(kept, None)
    return taken(x, first), y[first], (taken(x, last), y[last]) if kept < len(y) else None


def _array(x: Any, name: str) -> Any:
    """Return an input as an array with examples along its first axis."""
    x = np.asarray(x.data if isinstance(x, Recorded) else x)
    if x.ndim == 0:
        raise ValueError(f"{name} needs examples along its first axis, and is a single number")
    return x


def _check_rows(y: Any) -> None:
    """Check that labels are probabilities."""
    wrong = np.abs(y.sum(-1) - 1) > 1e-3
    if wrong.any():
        row = tuple(np.argwhere(wrong)[0].tolist())
        raise ValueError(
            f"each row of labels must sum to 1 (one-hot, or probabilities); row {row[0]} sums to "
            f"{y[row].sum():.4g}"
        )


def _check_classes(y: Any, output_shape: Any) -> None:
    """Check that labels are numbers of classes that the model tells apart."""
    classes = output_shape[-1] if isinstance(output_shape, tuple) else None
    if isinstance(classes, int) and (wrong := (y < 0) | (y >= classes)).any():
        raise ValueError(
            f"labels for {classes} classes must be 0 to {classes - 1}, and that of example "
            f"{int(np.argwhere(wrong)[0][0])} is {y[wrong][0]}"
        )


def _described(value: Any) -> str:
    """Say in a few words what a value is."""
    kind = f"a {type(value).__name__}"
    if hasattr(value, "shape"):
        return f"{kind} of shape {value.shape}"
    return f"{kind} of {len(value)} parts" if isinstance(value, (tuple, list)) else kind
