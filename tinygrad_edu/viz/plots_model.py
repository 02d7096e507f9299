"""Plots of what a model does with data: what its units answer, and where it divides the classes."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..nn.layers import training
from ..state import no_grad
from .figures import COLORS, array, classes, legend_beside, names_of, open_frame, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["activations", "decision_boundary"]

MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # one a class, so that nothing depends on colour alone


def activations(model: Any, x: Any = None, labels: Any = None, title: str = "") -> "Figure":
    """Show what every unit of every layer answers to a batch: an image and a histogram a layer.

    A row of an image is an example, a column a unit. A relu unit that answers 0 to every example is dead, as
    far as these examples can tell: no gradient reaches its weights. It is marked with a red ×.

    Args:
        model: a `Sequential`; or, by the layer's name, arrays of shape (examples, units).
        x: the examples to show the model, a few dozen to a few hundred; not needed with arrays.
        labels: the classes of the examples, integers or one-hot, to put the examples in their order.
        title: a heading.

    Layers that change no values, such as Flatten, and Dropout (which drops in training only), are left out.

    Raises:
        ImportError: matplotlib is missing.
        TypeError: there is neither a model with `x`, nor arrays by name.
        ValueError: there are no examples, or labels are not one an example.

    >>> figure = activations({"hidden": [[0.0, 2.0, 0.0], [0.0, 1.0, 3.0]]})
    >>> figure.axes[0].get_title()
    'hidden\\ndead (×): 1 of 3 units (33%)'
    """
    layers = _answers(model, x)
    rows = math.ceil(len(layers) / 4)
    columns = math.ceil(len(layers) / rows)
    figure, grid = panels(2 * rows, columns, (3.5 * columns, 5.6 * rows), title)
    for axes in grid:
        axes.set_visible(False)
    for place, (name, outputs) in enumerate(layers.items()):
        row, column = divmod(place, columns)
        image, histogram = grid[2 * row * columns + column], grid[(2 * row + 1) * columns + column]
        _image(figure, image, outputs, labels)
        image.set_title(f"{name}\n{_dead(name, outputs)}", fontsize=11, pad=14)  # room for ×
        _histogram(histogram, outputs)
    return figure


def decision_boundary(
    model: Any,
    x: Any,
    y: Any,
    names: Sequence[str] | None = None,
    title: str = "",
    points: int = 200,
) -> "Figure":
    """Show which class a model gives to every point of a plane, with the examples it should tell apart.

    The plane is coloured by the class, the paler the less sure; black lines are where the class changes.
    Examples on the wrong side of them have a black ring.

    Args:
        model: a `Sequential`, or a function, that takes inputs of shape (n, 2) and gives probabilities, or
            other scores, of shape (n, classes); or the probability of class 1, of shape (n, 1) or (n,).
        x: the examples, of shape (n, 2).
        y: their classes, integers or one-hot; seven classes at most.
        names: what to call the classes; their numbers if left out.
        title: a heading.
        points: how many points the model is asked about along each side of the plane.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: inputs have another number of features than two, labels are not one an example, or the
            model gives something else.

    >>> x, y = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0, 1])
    >>> figure = decision_boundary(lambda x: x[:, 0] > x[:, 1] / 2, x, y)
    >>> figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
    ('x₁', 'x₂')
    """
    x, truth = array(x), classes(y)
    if x.ndim != 2 or x.shape[1] != 2 or len(x) != len(truth) or not len(x):
        raise ValueError(
            "decision_boundary needs examples of shape (n, 2), and a label each; "
            f"got shapes {x.shape} and {np.shape(y)}"
        )
    edges = np.linspace(x.min(0), x.max(0), 2)
    low, high = edges + 0.1 * (edges[1] - edges[0] + 1e-9) * [[-1], [1]]
    across, up = (np.linspace(low[axis], high[axis], points) for axis in (0, 1))
    plane = np.stack(np.meshgrid(across, up), axis=-1)
    scores = _scores(model, plane.reshape(-1, 2))
    if truth.max() >= scores.shape[1] or scores.shape[1] > len(MARKERS):
        raise ValueError(
            f"the model tells {scores.shape[1]} classes apart, and there are labels up to {truth.max()}; "
            f"{len(MARKERS)} classes can be drawn"
        )
    figure, (axes,) = panels(1, 1, (6.0, 4.6), title)
    _regions(axes, across, up, scores.reshape(points, points, -1))
    _examples(axes, x, truth, _scores(model, x).argmax(1), names_of(names, scores.shape[1]))
    axes.set(xlabel="x₁", ylabel="x₂", xlim=across[[0, -1]], ylim=up[[0, -1]])
    legend_beside(figure, axes)
    return figure


# What layers answer


def _answers(model: Any, x: Any) -> dict[str, Any]:
    """Return the output of each layer that changes something, as arrays of shape (examples, units)."""
    if isinstance(model, Mapping):
        outputs = {name: array(values) for name, values in model.items()}
    elif not hasattr(model, "layers") or x is None:
        raise TypeError("activations needs a model and examples x, or arrays by the layer's name")
    else:
        outputs = {}
        h: Any = array(x)
        with no_grad(), training(False):
            for layer in model.layers:
                before, h = h, layer(h)
                if not np.array_equal(np.ravel(before), np.ravel(array(h))):
                    outputs[_called(layer)] = array(h)
    if not outputs or any(values.ndim < 2 or not values.size for values in outputs.values()):
        shapes = {name: values.shape for name, values in outputs.items()}
        raise ValueError(f"activations needs outputs of shape (examples, units), and got {shapes}")
    return {name: values.reshape(len(values), -1) for name, values in outputs.items()}


def _called(layer: Any) -> str:
    """Return a layer's name, and its activation if it has one."""
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return str(layer.name) if activation == "linear" else f"{layer.name} ({activation})"


def _dead_units(outputs: Any) -> Any:
    """Return the numbers of the units that answer 0 to every example."""
    return np.flatnonzero((outputs == 0).all(0))


def _dead(name: str, outputs: Any) -> str:
    """Say how many units are dead, where there are any or one would expect some."""
    dead, units = len(_dead_units(outputs)), outputs.shape[1]
    if not dead and "relu" not in name:
        return f"{units} units"
    return f"dead{' (×)' if dead else ''}: {dead} of {units} units ({dead / units:.0%})"


def _image(figure: "Figure", axes: "Axes", outputs: Any, labels: Any) -> None:
    """Draw outputs as an image, examples of one class next to each other."""
    axes.set_visible(True)
    axes.set(xlabel="unit", ylabel="example")
    if labels is not None:
        truth = classes(labels)
        if len(truth) != len(outputs):
            raise ValueError(f"there are {len(outputs)} examples, and {len(truth)} labels")
        outputs = outputs[np.argsort(truth, kind="stable")]
        ends = np.cumsum(np.bincount(truth))
        middles = ends - np.bincount(truth) / 2 - 0.5
        axes.set(ylabel="example, by class", yticks=middles, yticklabels=range(len(ends)))
        for end in ends[:-1]:
            axes.axhline(end - 0.5, color="black", linewidth=0.8)
    colors: dict[str, Any] = {"cmap": "cividis"} if outputs.min() < 0 else {"cmap": "Blues", "vmin": 0}
    image = axes.imshow(outputs, aspect="auto", interpolation="nearest", **colors)
    for unit in _dead_units(outputs):
        axes.annotate(
            "×", (unit, 1), xycoords=("data", "axes fraction"), color=COLORS[1], ha="center", va="bottom"
        )
    axes.locator_params(axis="x", integer=True)
    figure.colorbar(image, ax=axes, label="output")


def _histogram(axes: "Axes", outputs: Any) -> None:
    """Draw how often each output occurs; exact zeros, which would dwarf the rest, are counted in words."""
    axes.set_visible(True)
    zeros = outputs == 0
    rest = outputs[~zeros]
    axes.hist(rest, bins=40, weights=np.full(rest.size, 100 / outputs.size), color=COLORS[0])
    axes.set(xlabel="output", ylabel="share of outputs [%]")
    if zeros.any():
        axes.set_title(f"{zeros.mean():.0%} of outputs are 0, and not shown", fontsize=10)
    open_frame(axes)


# Where classes meet


def _scores(model: Any, x: Any) -> Any:
    """Ask a model for scores of shape (n, classes); the probability of class 1 becomes those of 0 and 1."""
    answer = model.predict(x, batch_size=len(x)) if hasattr(model, "predict") else model(x)
    scores = array(answer).astype(float)
    if scores.ndim == 1:
        scores = scores[:, None]
    if scores.ndim != 2 or len(scores) != len(x):
        raise ValueError(
            f"the model should give scores of shape ({len(x)}, classes) for {len(x)} points; "
            f"it gave shape {np.shape(answer)}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("the model gave nan or infinity for some points; its weights may have overflowed")
    if scores.shape[1] > 1:
        return scores
    if scores.min() < 0 or scores.max() > 1:
        raise ValueError(
            "a single output is taken as the probability of class 1, and this one goes from "
            f"{scores.min():.4g} to {scores.max():.4g}; give  lambda x: sigmoid(model(x))  for logits"
        )
    return np.hstack([1 - scores, scores])


def _regions(axes: "Axes", across: Any, up: Any, scores: Any) -> None:
    """Colour a plane by class, paler where the model is less sure, and draw where the class changes."""
    from matplotlib.colors import to_rgb

    colors = np.array([to_rgb(color) for color in COLORS[: scores.shape[2]]])
    sums_to_1 = scores.min() >= 0 and np.abs(scores.sum(2) - 1).max() < 1e-3
    best = np.eye(scores.shape[2])[scores.argmax(2)]
    shares = scores if sums_to_1 else best
    sureness = shares.max(2, keepdims=True) * 0.6
    picture = 1 - sureness + sureness * (shares @ colors)
    extent = (across[0], across[-1], up[0], up[-1])
    axes.imshow(picture.clip(0, 1), extent=extent, origin="lower", aspect="auto", interpolation="bilinear")
    for k in range(scores.shape[2]):
        lead = scores[:, :, k] - np.delete(scores, k, axis=2).max(2)
        if lead.min() < 0 < lead.max():
            axes.contour(across, up, lead, levels=[0], colors="black", linewidths=1.5)


def _examples(axes: "Axes", x: Any, truth: Any, guess: Any, names: list[str]) -> None:
    """Draw the examples of each class, and a ring around those that the model gets wrong."""
    for k, name in enumerate(names):
        axes.scatter(
            x[truth == k, 0],
            x[truth == k, 1],
            s=28,
            marker=MARKERS[k],
            color=COLORS[k],
            edgecolor="white",
            label=f"class {name}",
        )
    wrong = x[truth != guess]
    if len(wrong):
        ring: dict[str, Any] = {"s": 110, "facecolor": "none", "edgecolor": "black", "linewidth": 1.5}
        axes.scatter(wrong[:, 0], wrong[:, 1], label="wrong", **ring)
