"""What all plots share: figures without pyplot, colours that everyone can tell apart, and plain arrays.

The one idea: a plot makes its own Figure. pyplot would keep each one alive, and open windows.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# blue, vermillion, green, purple, orange, sky blue, black. Source: M. Okabe, K. Ito, "Color Universal Design"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def panels(rows: int, columns: int, size: tuple[float, float], title: str) -> tuple["Figure", list["Axes"]]:
    """Return a new Figure, of a size in inches, and its axes, row after row."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f'plots need matplotlib ({error}); pip install "tinygrad-edu[plot]" brings it'
        ) from error
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    if title:
        figure.suptitle(title)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def shade(share: float) -> Any:
    """Return a colour for a place in an order, dark blue at 0 to ochre at 1, which keep it in grey too."""
    from matplotlib import colormaps

    return colormaps["cividis"](0.85 * share)


def open_frame(axes: "Axes") -> None:
    """Leave out of the frame what carries nothing, and draw a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)


def legend_beside(figure: "Figure", axes: "Axes") -> None:
    """Put one legend for all panels beside them, where it covers no curve."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)


def array(given: Any) -> Any:
    """Return the plain array in a Tensor, or anything else as an array."""
    return np.asarray(given.detach() if hasattr(given, "detach") else given)


def classes(labels: Any) -> Any:
    """Return labels as integers of shape (n,), from integers, one-hot, or probabilities.

    Probabilities of a single column, or of shape (n,), are those of class 1.

    >>> classes([[0.2, 0.8], [0.9, 0.1]]), classes([[0.7], [0.2]]), classes([2, 0])
    (array([1, 0]), array([1, 0]), array([2, 0]))
    """
    given = array(labels)
    if given.ndim == 2 and given.shape[1] > 1:
        return given.argmax(axis=1)
    if given.ndim not in (1, 2):
        raise ValueError(f"labels have shape (n,) or (n, classes), and these have {given.shape}")
    numbers = given.ravel()
    if np.array_equal(numbers, np.floor(numbers)):
        if numbers.size and numbers.min() < 0:
            raise ValueError(f"classes are counted from 0, and there is a class {numbers.min():g}")
        return numbers.astype(int)
    if not (numbers.min() >= 0 and numbers.max() <= 1):
        raise ValueError(
            "labels are classes (0, 1, 2, ...) or probabilities of class 1, and these are neither"
        )
    return (numbers > 0.5).astype(int)


def names_of(names: Sequence[str] | None, n: int) -> list[str]:
    """Return n names: those given, or the numbers from 0."""
    if names is not None and len(names) != n:
        raise ValueError(f"there are {n} to name, and {len(names)} names")
    return [str(name) for name in (range(n) if names is None else names)]
