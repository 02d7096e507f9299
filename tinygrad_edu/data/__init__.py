"""Data: real digits that ship with the package, the file format they came in, labels and batches.

Everything here is plain NumPy. A training set is two arrays whose first axis counts examples: ``x`` of shape
(n, inputs) and ``y`` of shape (n, classes), or (n,) for integer labels.
"""

from .batching import batches, one_hot
from .digits import mnist, process_data
from .idx import read_idx, write_idx

__all__ = ["batches", "mnist", "one_hot", "process_data", "read_idx", "write_idx"]


def __dir__() -> list[str]:
    return sorted(__all__)
