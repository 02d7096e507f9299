"""`Snapshots`: the same graph at several moments of a training."""

from collections.abc import Callable
from typing import Any

from ...nn import Callback
from ..graph import Graph, contributions, trace_graph
from ..words import number, visible
from .arrays import BUDGET, Arrays, limit_for
from .facts import graph_facts, measured, sizes

Parts = tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]
MOST = 200  # snapshots in a page; of more, every second one is dropped until there are so few


class Snapshots(Callback):
    """Collects what a loss's graph held as training went on; `tinygrad_edu.viz.explore` makes a page of it.

    Args:
        loss: what computes the loss to look at, on data that stays the same: a function of no arguments such
            as ``lambda: softmax_cross_entropy(model(x), y)``. By hand it may be left out.
        every: as a callback of ``fit``, take one at the end of every so many epochs.

    In ``fit``, pass it in ``callbacks=[...]``; in a loop of one's own, call `take` with a loss. Nothing is
    changed by it: no ``grad`` is written, and no hook is called.

    Raises:
        TypeError: `loss` is no function.
        ValueError: `every` is not positive.

    >>> import tinygrad_edu as tg
    >>> w = tg.Tensor(3.0, requires_grad=True, name="w")
    >>> snapshots = Snapshots(lambda: w * w)
    >>> for step in range(3):
    ...     snapshots.take(label=f"step {step}")
    ...     w = w.assign(w.data * 0.5)
    >>> [moment["loss"] for moment in snapshots.moments]
    ['9', '2.25', '0.5625']
    """

    def __init__(self, loss: Callable[[], Any] | None = None, every: int = 1):
        if every < 1:
            raise ValueError(f"every= counts epochs, from 1, and is {every}")
        if loss is not None and not callable(loss):
            raise TypeError(
                "Snapshots computes the loss anew each time, so it takes a function: "
                f"Snapshots(lambda: ...), and got a {type(loss).__name__}; give a loss itself to take(loss)"
            )
        self.loss, self.every = loss, every
        self.moments: list[dict[str, Any]] = []
        self.facts: dict[str, Any] | None = None
        self.arrays = Arrays()
        self._form: Any = None

    def take(self, loss: Any = None, label: str | None = None) -> None:
        """Take a snapshot of the graph behind a loss, with its values and gradients.

        Args:
            loss: a scalar Tensor; left out, the function given to `Snapshots` is called for it.
            label: what the page calls this moment, such as ``"epoch 3"``.

        Raises:
            TypeError: there is no loss, and no function to compute one.
            ValueError: the graph is another one than before, so that it would not fit the same picture.
        """
        if loss is None:
            if self.loss is None:
                raise TypeError("take() needs a loss: take(loss), or Snapshots(lambda: ...) to compute one")
            loss = self.loss()
        graph = trace_graph(loss, gradients=True)
        sent = contributions(loss, graph)
        form = [(node.op, node.scope) for node in graph.nodes], [(e.source, e.target) for e in graph.edges]
        if self.facts is None:
            self.facts, self._form = graph_facts(graph), form
            self.arrays.limit = min(1024, limit_for(sizes(graph, sent)))
        elif form != self._form:
            raise ValueError(
                "this loss was computed by other calls than those of the first snapshot "
                f"({_difference(self._form, form)}); take snapshots of the same function"
            )
        label = label or f"snapshot {len(self.moments)}"
        self.moments.append(measured(graph, sent, self.arrays, label))

    def on_train_begin(self, logs: Any = None) -> None:
        """Take a snapshot before the first epoch.

        Raises:
            TypeError: there is no function to compute the loss with.
        """
        self._in_training("before training")

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Take a snapshot if it is time for one.

        Raises:
            TypeError: there is no function to compute the loss with.
        """
        if (epoch + 1) % self.every == 0:
            numbers = ", ".join(f"{visible(name)} {number(value)}" for name, value in logs.items())
            self._in_training(
                f"after epoch {epoch + 1}: {numbers}" if numbers else f"after epoch {epoch + 1}"
            )

    def _in_training(self, label: str) -> None:
        if self.loss is None:
            raise TypeError(
                "as a callback, Snapshots needs a function that computes the loss on some fixed data: "
                "Snapshots(lambda: softmax_cross_entropy(model(x), y))"
            )
        self.take(label=label)

    def __len__(self) -> int:
        return len(self.moments)

    def parts(self) -> Parts:
        """Return what a page needs: facts, moments and arrays.

        Raises:
            ValueError: there are no snapshots yet.
        """
        if self.facts is None:
            raise ValueError(
                "there are no snapshots yet: pass it to fit(callbacks=[snapshots]), or call take(loss)"
            )
        moments = self.moments
        while len(moments) > MOST:
            moments = moments[:-1:2] + moments[-1:]
        return self.facts, moments, self.arrays.stored


def snapshot_of(loss: Any, graph: Graph, budget: int = BUDGET) -> Parts:
    """Return the same for one loss, with more of its numbers."""
    sent = contributions(loss, graph)
    arrays = Arrays(limit_for(sizes(graph, sent), budget))
    moment = measured(graph, sent, arrays, "")
    return graph_facts(graph), [moment], arrays.stored


def _difference(before: Any, now: Any) -> str:
    if len(before[0]) != len(now[0]):
        return f"{len(before[0])} nodes then, {len(now[0])} now"
    changed = [(a, b) for a, b in zip(before[0], now[0], strict=True) if a != b]
    return (
        f"{changed[0][0][0] or 'a leaf'} then, {changed[0][1][0] or 'a leaf'} now"
        if changed
        else "other edges"
    )
