"""The loss surface: what the loss would be beside the weights, and the way an optimizer went over it.

The one idea: a network has thousands of weights and paper two directions. `Plane` picks two that tell
something, and the loss is computed at every point of a grid on the plane that they span.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .figures import COLORS, array, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["loss_surface"]


class Plane(NamedTuple):
    """A plane in the space of all weights: ``origin + a * directions[0] + b * directions[1]``."""

    origin: Any  # all weights in one row
    directions: Any  # of shape (2, weights)
    low: Any  # where the picture starts, (a, b)
    high: Any  # and ends
    labels: tuple[str, str]

    def sides(self, points: int) -> tuple[Any, Any]:
        """Return the places of a grid's columns and rows."""
        return tuple(np.linspace(self.low, self.high, points).T)


def loss_surface(
    model: Any,
    x: Any = None,
    y: Any = None,
    path: Any = None,
    title: str = "",
    points: int = 31,
    seed: int = 0,
) -> "Figure":
    """Draw the loss on a plane through the weights, as a map with contour lines, and the optimizer's path.

    With a path, the plane holds its end and the two directions in which it spreads most, its first principal
    components; the path is drawn as its shadow on that plane. Without one, the directions are random, each
    unit's share as long as the unit's own weights ("filter-normalized"), so that 1 means as far as the
    weights are from 0, whatever their scale. With two weights in all, the axes are these.

    Args:
        model: a compiled `Sequential`; its weights are put back afterwards. Or a function of the weights that
            returns the loss, such as ``lambda w: (w[0] - 1) ** 2 + w[1] ** 2``; it gets them in the form that
            the points of the path have.
        x: the examples to compute the loss on, `points` ** 2 times: a few hundred. A function needs none.
        y: their labels.
        path: a `WeightPath` that watched training, or a list of weights, from the first to the last. Needed
            with a function.
        title: a heading.
        points: how many points the grid has along each side.
        seed: for the random directions.

    Raises:
        ImportError: matplotlib is missing.
        TypeError: `model` is neither of the above, or what goes with it is missing.
        ValueError: the path has no two directions, or the loss is not finite anywhere.

    Source: Li et al., "Visualizing the loss landscape of neural nets", NeurIPS 2018.

    >>> path = [np.array([-1.0, 2.0]), np.array([0.0, 1.0]), np.array([0.5, 0.2])]
    >>> figure = loss_surface(lambda w: (w[0] - 1) ** 2 + w[1] ** 2, path=path)
    >>> figure.axes[0].get_xlabel()
    'first weight'
    """
    way = None if path is None else list(getattr(path, "points", path))
    loss, now = _loss_of(model, x, y, way)
    rows = None if way is None else np.array([_row(weights) for weights in way])
    plane = _plane(_row(now), rows, now, seed)
    kept = model.get_weights() if hasattr(model, "get_weights") else None
    try:
        heights = _heights(lambda row: loss(_like(now, row)), plane, points)
    finally:
        if kept is not None:
            model.set_weights(kept)
    figure, (axes,) = panels(1, 1, (6.4, 5.0), title)
    _map(figure, axes, plane, heights)
    passed = _row(now)[None] if rows is None else rows
    _way(axes, (passed - plane.origin) @ plane.directions.T)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    axes.set(xlabel=plane.labels[0], ylabel=plane.labels[1])
    return figure


# The loss as a function of all weights in one row


def _loss_of(model: Any, x: Any, y: Any, way: list[Any] | None) -> tuple[Callable[[Any], Any], Any]:
    """Return the loss as a function of the weights, and the weights that the picture is about."""
    if hasattr(model, "get_weights"):
        if x is None or y is None:
            raise TypeError("the loss of a model needs examples and labels: loss_surface(model, x, y)")

        def loss(weights: Any) -> Any:
            model.set_weights(weights)
            return model.evaluate(x, y, batch_size=len(x), return_dict=True)["loss"]

        return loss, way[-1] if way else model.get_weights()
    if not callable(model):
        raise TypeError(f"loss_surface needs a model or a function of the weights, and got {model!r}")
    if not way:
        raise TypeError("with a function, the weights come from its path: loss_surface(loss, path=[...])")
    return model, way[-1]


def _row(weights: Any) -> Any:
    """Put all weights, one array or a list of them, into one row."""
    parts = weights if isinstance(weights, (list, tuple)) else [weights]
    return np.concatenate([np.ravel(array(part)).astype(float) for part in parts])


def _like(weights: Any, row: Any) -> Any:
    """Give a row the form that weights have."""
    if not isinstance(weights, (list, tuple)):
        return row.reshape(np.shape(array(weights)))
    shapes = [np.shape(array(part)) for part in weights]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(row, ends[:-1]), shapes, strict=True)]


def _heights(loss: Callable[[Any], Any], plane: Plane, points: int) -> Any:
    """Compute the loss on a grid, of shape (points, points); where it overflows, there is a hole."""
    across, up = plane.sides(points)
    with np.errstate(all="ignore"):
        heights = np.array(
            [[float(loss(plane.origin + np.array([a, b]) @ plane.directions)) for a in across] for b in up]
        )
    if not np.isfinite(heights).any():
        raise ValueError("the loss is nan or infinite everywhere on the plane")
    return np.ma.masked_invalid(heights)


# The plane


def _plane(now: Any, rows: Any, weights: Any, seed: int) -> Plane:
    """Choose the plane: the two weights there are, the path's principal directions, or random ones."""
    if now.size < 2:
        raise ValueError(f"a surface needs two weights or more, and there is {now.size}")
    if now.size == 2:
        around = np.array([now - 1 - abs(now), now + 1 + abs(now)]) if rows is None else rows
        return _framed(np.zeros(2), np.eye(2), around, ("first weight", "second weight"))
    if rows is None:
        directions = random_directions(weights, seed)
        square = np.array([[-1.0, -1.0], [1.0, 1.0]])
        labels = ("first random direction", "second random direction")
        return Plane(now, directions, square[0], square[1], labels)
    directions, shares = principal_directions(rows)
    first, second = (f"principal direction ({share:.0%} of the path's spread)" for share in shares)
    return _framed(now, directions, (rows - now) @ directions.T, (f"first {first}", f"second {second}"))


def _framed(origin: Any, directions: Any, shadow: Any, labels: tuple[str, str]) -> Plane:
    """Return a plane that shows a path, with room around it."""
    low, high = shadow.min(0), shadow.max(0)
    room = np.maximum(0.25 * (high - low), 0.15 * (high - low).max() or 1.0)
    return Plane(origin, directions, low - room, high + room, labels)


def principal_directions(rows: Any) -> tuple[Any, Any]:
    """Return the two directions, of length 1, in which a path spreads most around its end, and their shares.

    >>> directions, shares = principal_directions(np.array([[4, 0, 0], [0, 3, 0], [0, 0, 0]]))
    >>> np.abs(directions), shares
    (array([[1., 0., 0.], [0., 1., 0.]]), array([0.64, 0.36]))
    """
    _, lengths, directions = np.linalg.svd(rows - rows[-1], full_matrices=False)
    if len(lengths) < 2 or lengths[1] <= 1e-9 * lengths[0]:
        raise ValueError(
            f"a path of {len(rows)} points on one line spans no plane; watch more epochs or steps, such as "
            'WeightPath(each="step")'
        )
    return directions[:2], lengths[:2] ** 2 / (lengths**2).sum()


def random_directions(weights: Sequence[Any], seed: int) -> Any:
    """Return two random directions, of shape (2, weights): each unit's part is as long as its weights.

    A unit's weights are a column of a matrix. Biases stay, as in Li et al.

    >>> two = random_directions([np.array([[3.0, 0.0], [4.0, 0.0]]), np.array([1.0])], seed=0)
    >>> np.hypot(two[:, 0], two[:, 2]).round(6), two[:, [1, 3, 4]].any()
    (array([5., 5.]), np.False_)
    """
    generator = np.random.default_rng(seed)
    parts = [array(part) for part in (weights if isinstance(weights, (list, tuple)) else [weights])]
    directions = np.array([_row([_direction(part, generator) for part in parts]) for _ in range(2)])
    if not directions.any():
        raise ValueError("all weights are 0, which gives directions no length; train first, or give a path")
    return directions


def _direction(part: Any, generator: np.random.Generator) -> Any:
    if part.ndim < 2:
        return np.zeros(part.shape)
    inputs = tuple(range(part.ndim - 1))  # the last axis counts the units
    random = generator.normal(size=part.shape)
    length = np.sqrt((random**2).sum(inputs, keepdims=True))
    return random / length * np.sqrt((part.astype(float) ** 2).sum(inputs, keepdims=True))


# Drawing


def _map(figure: "Figure", axes: "Axes", plane: Plane, heights: Any) -> None:
    """Draw heights as colours with contour lines, logarithmic where they differ by a factor above 10."""
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.ticker import LogLocator, MaxNLocator

    across, up = plane.sides(len(heights))
    low, high = float(heights.min()), float(heights.max())
    wide = low > 0 and high / low > 10
    high = high if high > low else low + 1
    levels = np.geomspace(low, high, 25) if wide else np.linspace(low, high, 25)
    colors = axes.contourf(
        across, up, heights, levels=levels, cmap="viridis", norm=(LogNorm if wide else Normalize)(low, high)
    )
    axes.contour(across, up, heights, levels=levels[1:-1:2], colors="black", linewidths=0.4, alpha=0.6)
    ticks = LogLocator(subs=(1, 3)) if wide else MaxNLocator(6)
    bar = figure.colorbar(colors, ax=axes, label="loss", ticks=ticks, format="{x:g}")
    bar.minorticks_off()


def _way(axes: "Axes", shadow: Any) -> None:
    """Draw a path, in white on black to be seen on dark and light ground; or where the weights are."""
    a, b = shadow.T
    mark: dict[str, Any] = {"color": COLORS[4], "edgecolor": "black", "zorder": 3}
    if len(shadow) > 1:
        dots = 1.0 if len(shadow) <= 100 else 0.0  # more would hide the line
        axes.plot(a, b, ".-", color="black", linewidth=3.5, markersize=8 * dots, label="the optimizer's path")
        axes.plot(a, b, ".-", color="white", linewidth=1.2, markersize=4 * dots)
        axes.scatter(a[:1], b[:1], s=70, marker="o", label="start", **mark)
    axes.scatter(a[-1:], b[-1:], s=200, marker="*", label="end" if len(shadow) > 1 else "the weights", **mark)
