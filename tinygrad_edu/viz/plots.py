"""Plots of training: learning curves, weights as images, confusion matrices, predictions.

Plain data goes in (dicts of lists, arrays, a Keras-style History) and a matplotlib Figure comes out, without
pyplot and its global state. A Figure is saved with ``figure.savefig("curves.png")``.
Colours are Okabe and Ito's, which people with any colour vision can tell apart.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .figures import COLORS, array, classes, legend_beside, names_of, open_frame, panels, shade

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "compare_optimizers",
    "confusion_matrix",
    "gradient_flow",
    "learning_curves",
    "predictions",
    "weights",
]

Curves = dict[str, Any]  # one run: the name of a measure, and its values, of shape (seeds, epochs)


def learning_curves(histories: Any, title: str = "") -> "Figure":
    """Plot loss and accuracy against epochs, on the training and the validation data, for one or more runs.

    A line is solid on training data and dashed on validation data. Where a run was repeated with several
    seeds, it is their mean, in a band from the lowest to the highest.

    Args:
        histories: what ``fit`` returned, or its ``history``: a dict with a list ``"loss"`` and, if they were
            measured, a list whose name contains ``"acc"`` and both again with ``"val_"`` before them. Or a
            dict of up to seven of these by the run's name, or of lists of these, one a seed.
        title: a heading.

    Raises:
        ImportError: matplotlib is missing.
        TypeError, ValueError: `histories` is none of the above, has no loss, or its seeds differ in length.

    >>> runs = {
    ...     "l1_b32": {"loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.6, 0.5]},
    ...     "L2_b32": [{"loss": [0.9, 0.4, 0.3]}, {"loss": [0.8, 0.5, 0.2]}],
    ... }
    >>> [axes.get_ylabel() for axes in learning_curves(runs).axes]
    ['loss']
    """
    runs = _runs(histories)
    measures = ["loss", *_accuracy_of(runs)]
    figure, grid = panels(1, len(measures), (5.2 * len(measures), 3.8), title)
    for axes, measure in zip(grid, measures, strict=True):
        for color, (name, curves) in zip(COLORS, runs.items(), strict=False):
            _line(axes, curves.get(measure), color, "-", f"{name} training".strip())
            other = color if len(runs) > 1 else COLORS[1]
            _line(axes, curves.get("val_" + measure), other, "--", f"{name} validation".strip())
        _finish(axes, measure)
    legend_beside(figure, grid[0])
    return figure


def compare_optimizers(histories: Mapping[str, Any], title: str = "") -> "Figure":
    """Plot how fast each optimizer learns: training loss on a logarithmic scale, and accuracy on new data.

    Args:
        histories: the runs by name, as in `learning_curves`. Where a run has no validation accuracy, its
            training accuracy is shown.
        title: a heading.

    Raises:
        ImportError: matplotlib is missing.
        TypeError, ValueError: as in `learning_curves`.

    >>> figure = compare_optimizers({"SGD": {"loss": [1.0, 0.5]}, "Adam": {"loss": [0.6, 0.3]}})
    >>> figure.axes[0].get_yscale()
    'log'
    """
    runs = _runs(histories)
    accuracy = _accuracy_of(runs)
    measures = ["loss", *(["val_" + accuracy[0]] if _have(runs, "val_", accuracy) else accuracy)]
    figure, grid = panels(1, len(measures), (5.2 * len(measures), 3.8), title)
    for axes, measure in zip(grid, measures, strict=True):
        for color, (name, curves) in zip(COLORS, runs.items(), strict=False):
            _line(axes, curves.get(measure), color, "-", name)
        _finish(axes, measure)
    _logarithmic(grid[0])
    grid[0].set_ylabel("training loss (logarithmic)")
    legend_beside(figure, grid[0])
    return figure


def gradient_flow(norms: Any, title: str = "") -> "Figure":
    """Plot the size of every layer's gradient over training, on a logarithmic scale.

    Where gradients vanish, the lines of the first layers (dark) lie far below that of the last (bright); a
    layer whose gradient is exactly 0 does not learn at all, and has a × at the lower edge.

    Args:
        norms: a `GradientNorms` that watched training, or its ``norms``: by the layer's name, from the input
            to the loss, a list of norms, the first before training.
        title: a heading.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010.

    Raises:
        ImportError: matplotlib is missing.
        TypeError, ValueError: `norms` is none of the above, has no numbers, or lists differ in length.

    >>> figure = gradient_flow({"first": [0.01, 0.02], "last": [0.5, 0.4]})
    >>> [line.get_label() for line in figure.axes[0].get_lines()]
    ['first', 'last']
    """
    layers = _norms(norms)
    figure, (axes,) = panels(1, 1, (6.4, 3.8), title)
    for depth, (name, sizes) in enumerate(layers.items()):
        # depth is an order, and so are these colours, also in grey
        color = shade(depth / max(len(layers) - 1, 1))
        style = {"color": color, "linewidth": 2, "linestyle": ("-", "--")[depth % 2]}
        seen = np.where(sizes > 0, sizes, np.nan)
        axes.plot(seen, marker="o" if len(sizes) == 1 else None, label=name, **style)
        zeros = np.flatnonzero(sizes == 0)
        axes.scatter(
            zeros, 0.02 + 0 * zeros, marker="x", color=color, transform=axes.get_xaxis_transform(), zorder=3
        )
    _finish(axes, "norm of the loss's gradient")
    axes.set_xlabel("epoch (0: before training)")
    _logarithmic(axes)
    legend_beside(figure, axes)
    return figure


def weights(model: Any, names: Sequence[str] | None = None, title: str = "") -> "Figure":
    """Show the weights of a layer as images, one a unit: what each unit looks for.

    All share one scale, symmetric about 0: red pixels speak for the unit, blue ones against it, and white
    ones do not matter. A softmax regression's units are its classes.

    Args:
        model: a matrix of shape (pixels, units), array or Tensor, or a model, whose first matrix is taken.
            Images are square, so that `pixels` must be a square number (28 * 28 for MNIST).
        names: what to call the units; their numbers if left out.
        title: a heading.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: there is no such matrix, or names are not one a unit.

    >>> len(weights(np.eye(4)[:, :3]).axes)  # three images and the scale
    4
    """
    matrix = _matrix(model)
    side, units = math.isqrt(matrix.shape[0]), matrix.shape[1]
    if side * side != matrix.shape[0]:
        raise ValueError(f"weights shows square images, and {matrix.shape[0]} inputs are no square number")
    names = names_of(names, units)
    columns = min(units, 5)
    rows = math.ceil(units / columns)
    figure, grid = panels(rows, columns, (1.6 * columns + 0.8, 1.75 * rows + 0.2), title)
    limit = float(np.abs(matrix).max()) or 1.0
    for axes, unit, name in zip(grid, matrix.T, names, strict=False):
        image = axes.imshow(unit.reshape(side, side), cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set_title(name, fontsize=11)
    for axes in grid:
        axes.set_axis_off()
    figure.colorbar(image, ax=grid, label="weight", shrink=0.8)
    return figure


def confusion_matrix(
    true: Any, predicted: Any, names: Sequence[str] | None = None, title: str = ""
) -> "Figure":
    """Show how often each class was taken for each: rows are true classes, columns predicted ones.

    Numbers count examples; the shade is their share of the row, so that a dark diagonal is a good model.

    Args:
        true: the labels, integers of shape (n,), or one-hot of shape (n, classes).
        predicted: the same, or probabilities of shape (n, classes), of which the largest counts.
        names: what to call the classes; their numbers if left out.
        title: a heading.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: labels and predictions differ in number, or there are none.

    >>> figure = confusion_matrix([0, 1, 1], [0, 1, 0])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1', '', '1', '1']
    """
    truth, guess = classes(true), classes(predicted)
    if truth.shape != guess.shape or not truth.size:
        raise ValueError(
            f"one prediction a label is needed; got {truth.size} labels, {guess.size} predictions"
        )
    n = 1 + int(max(truth.max(), guess.max()))
    counts = np.zeros((n, n), int)
    np.add.at(counts, (truth, guess), 1)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = 0.45 * n + 1.5
    figure, (axes,) = panels(1, 1, (size + 0.6, size), title)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, str(count or ""), ha="center", va="center", color=color, fontsize=9)
    axes.set(xlabel="predicted", ylabel="true", xticks=range(n), yticks=range(n))
    axes.set(xticklabels=names_of(names, n), yticklabels=names_of(names, n))
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.85)
    return figure


def predictions(
    images: Any, predicted: Any, true: Any = None, columns: int = 10, title: str = ""
) -> "Figure":
    """Show images with what the model takes them for, and in orange, with ``≠``, where that is wrong.

    Args:
        images: of shape (n, pixels), square each, or (n, height, width). Every one is shown: give a few.
        predicted: classes, integers of shape (n,), or probabilities of shape (n, classes).
        true: the labels, integers or one-hot, if they are known.
        columns: images a row.
        title: a heading.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: images, predictions and labels differ in number, or images are not square.

    >>> figure = predictions(np.zeros((2, 9)), [7, 2], true=[7, 3], columns=2)
    >>> [axes.get_title() for axes in figure.axes]
    ['7', '2 ≠ 3']
    """
    pictures = _pictures(images)
    guess = classes(predicted)
    truth = guess if true is None else classes(true)
    if not len(pictures) == len(guess) == len(truth) > 0:
        raise ValueError(
            f"predictions needs one prediction and one label an image, and got {len(pictures)} images, "
            f"{len(guess)} predictions, {len(truth)} labels"
        )
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    figure, grid = panels(rows, columns, (1.05 * columns, 1.3 * rows), title)
    for axes, picture, g, t in zip(grid, pictures, guess, truth, strict=False):
        axes.imshow(picture, cmap="gray_r")
        wrong = bool(g != t)
        axes.set_title(f"{g} ≠ {t}" if wrong else f"{g}", color=COLORS[1] if wrong else "black", fontsize=11)
    for axes in grid:
        axes.set_axis_off()
    return figure


# From what the user has to runs, matrices, classes


def _runs(histories: Any) -> dict[str, Curves]:
    """Bring one history, or several by name, into one form: by run and measure, an array (seeds, epochs)."""
    if hasattr(histories, "history") or (isinstance(histories, Mapping) and "loss" in histories):
        histories = {"": histories}
    if not isinstance(histories, Mapping) or not histories:
        raise TypeError(
            "learning curves need a History, its dict, or a dict of them by name; "
            f"got {type(histories).__name__}"
        )
    if len(histories) > len(COLORS):
        raise ValueError(f"{len(COLORS)} runs can be told apart by colour, and these are {len(histories)}")
    return {name: _run(name, history) for name, history in histories.items()}


def _run(name: str, history: Any) -> Curves:
    """Stack the curves of one run, or of its repetitions with several seeds."""
    seeds: Sequence[Any] = history if isinstance(history, (list, tuple)) else [history]
    curves: list[Any] = [getattr(seed, "history", seed) for seed in seeds]
    if not curves or not all(isinstance(curve, Mapping) and len(curve.get("loss", ())) for curve in curves):
        raise ValueError(f"run {name!r} needs a list 'loss' with a value an epoch; it has {_keys(curves)}")
    measures = [key for key in curves[0] if all(key in curve for curve in curves)]
    for key in measures:
        lengths = sorted({len(curve[key]) for curve in curves})
        if len(lengths) > 1:
            raise ValueError(f"the seeds of run {name!r} differ in length: {lengths} values of {key!r}")
    return {key: np.array([curve[key] for curve in curves], dtype=float) for key in measures}


def _keys(curves: list[Any]) -> str:
    found = curves[0] if curves else {}
    return (", ".join(map(repr, found)) or "nothing") if isinstance(found, Mapping) else repr(found)


def _norms(norms: Any) -> dict[str, Any]:
    """Check norms of gradients by layer, and return them as arrays."""
    norms = getattr(norms, "norms", norms)
    if not isinstance(norms, Mapping):
        raise TypeError(
            "gradient_flow needs lists of norms by the layer's name, or a GradientNorms that watched fit; "
            f"got {type(norms).__name__}"
        )
    layers = {str(name): np.asarray(sizes, dtype=float) for name, sizes in norms.items()}
    shapes = {name: sizes.shape for name, sizes in layers.items()}
    if len(set(shapes.values())) != 1 or any(len(shape) != 1 or not shape[0] for shape in shapes.values()):
        raise ValueError(f"every layer needs a list of norms, all of one length; got shapes {shapes}")
    return layers


def _accuracy_of(runs: dict[str, Curves]) -> list[str]:
    """Return the name under which the first run that has one keeps its accuracy, in a list; or none."""
    names = [key for curves in runs.values() for key in curves if "acc" in key and not key.startswith("val_")]
    return names[:1]


def _have(runs: dict[str, Curves], prefix: str, accuracy: list[str]) -> bool:
    return bool(accuracy) and all(prefix + accuracy[0] in curves for curves in runs.values())


def _matrix(model: Any) -> Any:
    """Return the first weight matrix of a model, or the matrix that was given."""
    candidates = model.get_weights() if hasattr(model, "get_weights") else [model]
    matrices = [m for m in map(array, candidates) if m.ndim == 2 and m.size]
    if not matrices:
        raise ValueError(
            "weights needs a matrix of shape (pixels, units), or a model that has one; "
            f"got shapes {[np.shape(array(candidate)) for candidate in candidates]}"
        )
    return matrices[0]


def _pictures(images: Any) -> Any:
    pictures = array(images)
    if pictures.ndim == 3:
        return pictures
    side = math.isqrt(pictures.shape[-1])
    if pictures.ndim != 2 or side * side != pictures.shape[-1]:
        raise ValueError(f"images of shape (n, pixels) must be square; these have shape {pictures.shape}")
    return pictures.reshape(-1, side, side)


# Drawing


def _line(axes: "Axes", values: Any, color: str, style: str, label: str) -> None:
    """Draw one curve: the mean over seeds, in the band that they span."""
    if values is None:
        return
    epochs = np.arange(1, values.shape[1] + 1)
    marker = "o" if len(epochs) == 1 else None
    axes.plot(epochs, values.mean(0), style, color=color, linewidth=2, marker=marker, label=label)
    if len(values) > 1:
        axes.fill_between(epochs, values.min(0), values.max(0), color=color, alpha=0.2, linewidth=0)


def _finish(axes: "Axes", measure: str) -> None:
    """Label the axes, and leave out of the frame what carries nothing."""
    words = measure.replace("val_", "validation ").replace("categorical_", "").replace("_", " ")
    axes.set(xlabel="epoch", ylabel=words)
    axes.locator_params(axis="x", integer=True)
    open_frame(axes)


def _logarithmic(axes: "Axes") -> None:
    """Make the vertical axis logarithmic, with plain numbers along it, not powers of ten."""
    from matplotlib.ticker import LogLocator

    axes.set_yscale("log")
    if not any((np.asarray(line.get_ydata()) > 0).any() for line in axes.get_lines()):
        axes.set_ylim(0.1, 1)  # there is nothing that has a logarithm
    low, high = axes.get_ylim()
    subs = (1,) if high / low > 300 else (1, 3) if high / low > 20 else (1, 1.5, 2, 3, 5, 7)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
