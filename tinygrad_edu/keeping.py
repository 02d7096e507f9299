"""Keeping: what a recorded call keeps of arrays that may change before its gradient is computed.

A user's array is not ours to lock: a buffer is filled again, an index counted on, labels shuffled. A gradient
rule must read what the call read. So a call keeps copies of the plain arrays that its rule reads; of very
large ones it keeps a fingerprint, and a change of them is an error.
"""

import collections
import hashlib
from array import array as python_array
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .containers import LEAVES, tree_map
from .rules import function_name

LARGE = 1 << 26  # bytes; copying more would take too much memory
BUFFERS = (python_array, memoryview, bytearray, collections.deque)


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
    read = node.rule.positions_read
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


def apart(value: Any, given: Sequence[Any]) -> Any:
    """Return results of a call, copied where they lie in the memory of arrays given to it that may change."""
    plain = [arg for arg in given if isinstance(arg, np.ndarray) and may_change(arg)]

    def own(leaf: Any) -> Any:
        shared = isinstance(leaf, np.ndarray) and any(np.may_share_memory(leaf, arg) for arg in plain)
        return leaf.copy() if shared else leaf

    return tree_map(own, value) if plain else value


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
    """Return a copy of what is a plain array or is taken for one (a memmap, say), or the leaf itself."""
    kind = type(leaf)
    if kind is np.ndarray:
        return kept(leaf)
    if kind in LEAVES or isinstance(leaf, np.generic):
        return leaf
    if isinstance(leaf, np.ndarray):
        return leaf.copy()
    return np.array(leaf) if isinstance(leaf, BUFFERS) else leaf


def may_be_hashed(array: Any) -> bool:
    """Tell whether all that an array holds are the words of its memory, in one piece."""
    return bool(array.flags.forc and not array.dtype.hasobject)


def fingerprint(array: Any) -> bytes:
    """Return what differs if anything in an array does, but for a chance that need not be reckoned with."""
    return hashlib.sha256(array.reshape(-1, order="A").view(np.uint8)).digest()
