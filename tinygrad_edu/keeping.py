"""Keeping: what a recorded call keeps of arrays that may change before its gradient is computed.

A user's array is not ours to lock: a buffer is filled again, an index counted on, labels shuffled. A gradient
rule must read what the call read. So a call keeps copies of the plain arrays that its rule reads; of very
large ones it keeps a fingerprint, and a change of them is an error.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from .containers import tree_map
from .rules import function_name

LARGE = 1 << 26  # bytes; copying more would take too much memory
COLUMNS = 4096


class Watched(NamedTuple):
    """A large array that a call was given, at which position, and what it was like then."""

    position: int
    array: Any
    print: bytes

    def check(self, node: Any) -> None:
        """Raise an error if it is no longer what a recorded call read."""
        if fingerprint(self.array) == self.print:
            return
        file, line = node.source()
        raise RuntimeError(
            f"{function_name(node.fn)} ({file}:{line}) was given an array of shape {self.array.shape} as its "
            f"argument number {self.position + 1}, which has changed since, and its gradient needs it as it "
            "was; change it after backward(), or give the call a Tensor of it, which is a copy"
        )


def keep(node: Any, arrays: list[Any], others: list[int]) -> None:
    """Let a call read and keep copies of arrays that are not ours, where its rule reads them again later.

    `others` are the positions of arguments that may be such arrays, or containers of them.
    """
    read = node.rule.read
    for i in others:
        if i not in read:
            continue
        array = arrays[i]
        if type(array) is not np.ndarray:
            arrays[i] = tree_map(kept_leaf, array)
        elif array is node.args[i] or may_change(array):
            if array.nbytes > LARGE and may_be_hashed(array):
                node.watched = (*node.watched, Watched(i, array, fingerprint(array)))
            else:
                arrays[i] = kept(array)
    if node.kwargs:
        node.kwargs = tree_map(kept_leaf, node.kwargs)


def may_change(array: Any) -> bool:
    """Tell whether somebody may write to an array's memory: to it, or to the array that it is a view of."""
    while type(array) is np.ndarray:
        if array.flags.writeable:
            return True
        array = array.base
    return array is not None


def kept(array: Any) -> Any:
    """Return a copy of a plain array, in the same layout, so that a rule computes what it would have."""
    if array.flags.forc or array.dtype.hasobject:
        return array.copy("K")
    low, high = np.lib.array_utils.byte_bounds(array)
    memory = np.empty(high - low, np.uint8)
    offset = array.__array_interface__["data"][0] - low
    twin = np.ndarray(array.shape, array.dtype, memory, offset, array.strides)
    twin[...] = array
    return twin


def kept_leaf(leaf: Any) -> Any:
    """Return a copy of what is a plain array, and anything else as it is."""
    return kept(leaf) if type(leaf) is np.ndarray else leaf


def may_be_hashed(array: Any) -> bool:
    """Tell whether all that an array holds are the words of its memory, in one piece."""
    return bool(array.flags.forc and not array.dtype.hasobject)


def fingerprint(array: Any) -> bytes:
    """Return what differs, but for one chance in 2⁶⁴, if anything in an array does: sums of its words.

    Every word counts with an odd number of its own, modulo 2⁶⁴ (multilinear hashing: Lemire and Kaser,
    "Strongly universal string hashing is fast", 2014), so that a single change always shows.
    """
    memory = array.reshape(-1, order="A").view(np.uint8)
    end = memory.size // (8 * COLUMNS) * 8 * COLUMNS
    sums = memory[:end].view(np.uint64).reshape(-1, COLUMNS) @ _odd()
    return bytes(sums.tobytes() + memory[end:].tobytes())


@functools.cache
def _odd() -> Any:
    return np.multiply.accumulate(np.full(COLUMNS, 6364136223846793005, np.uint64))
