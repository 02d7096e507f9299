"""What `fit` shows while it runs: a progress bar, one line an epoch, or nothing."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any


def describe(logs: dict[str, float]) -> str:
    """Write the loss and metrics in one line.

    >>> describe({"loss": 0.25, "accuracy": 0.9})
    'loss: 0.2500 - accuracy: 0.9000'
    """
    return " - ".join(f"{name}: {value:.4f}" for name, value in logs.items())


class Progress:
    """Shows the epochs of one run.

    Args:
        verbose: 0 for silence; 2 for one line an epoch; 1 (or "auto") for a progress bar too while the epoch
            lasts, in a terminal and with tqdm (files, pipes and notebooks would keep each of its states).
        epochs: how many there will be.

    Raises:
        ValueError: another `verbose`.
    """

    def __init__(self, verbose: int | str, epochs: int):
        if verbose not in ("auto", 0, 1, 2):
            raise ValueError(f'verbose must be 0, 1, 2 or "auto", and is {verbose!r}')
        self.lines = verbose != 0
        self.epochs = epochs
        self.bar: Any = None
        self.tqdm: Any = _tqdm() if verbose in ("auto", 1) else None

    def steps(self, epoch: int, starts: Iterable[int]) -> Iterable[int]:
        """Return the steps of an epoch, to go through."""
        self.began = time.perf_counter()
        return starts if self.tqdm is None else self._with_bar(epoch, list(starts))

    def _with_bar(self, epoch: int, starts: list[int]) -> Iterator[int]:
        what = f"Epoch {epoch + 1}/{self.epochs}"
        self.bar = self.tqdm(total=len(starts), desc=what, unit="batch", file=sys.stdout, leave=False)
        for start in starts:
            yield start
            self.bar.update()

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        """Show how the epoch went."""
        self.close()
        if self.lines:
            seconds = time.perf_counter() - self.began
            print(f"Epoch {epoch + 1}/{self.epochs} - {seconds:.1f}s - {describe(logs)}")

    def close(self) -> None:
        """Take the bar away, at the end of an epoch or after an interruption."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def _tqdm() -> Any:
    """Return tqdm's bar, or None where it is not installed or would leave each of its states in a file."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm
