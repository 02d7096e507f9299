"""Homes: where Tensors that a program updates keep their values.

New values are never written over the old ones: they go into a second, `spare` array, and the two change
places once the step has succeeded. So a step that fails leaves every parameter as it was, and an array that
somebody has kept is never written to.
"""

import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import is_
from sys import getrefcount
from typing import Any, NamedTuple

import numpy as np

from ..recording import Recorded


class Block(NamedTuple):
    """Where one array lies in a flat one: from which element on, in which shape and memory order."""

    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    size: int

    def of(self, flat: Any) -> Any:
        """Return the view of a flat array."""
        part = flat[self.start : self.start + self.size]
        order = self.order()
        whole = part.reshape([self.shape[axis] for axis in order])
        return whole.transpose(np.argsort(order)) if order != sorted(order) else whole

    def order(self) -> list[int]:
        """Return the axes from the one with the longest steps to the one with the shortest."""
        return sorted(range(len(self.shape)), key=lambda axis: (-self.strides[axis], axis))

    def spelled(self, flat: str) -> str:
        """Write `of` as NumPy source."""
        order = self.order()
        text = f"{flat}[{self.start}:{self.start + self.size}]"
        shape = tuple(self.shape[axis] for axis in order)
        if len(shape) != 1:
            text += f".reshape({', '.join(map(str, shape))})" if shape else ".reshape(())"
        if order == sorted(order):
            return text
        back = [int(axis) for axis in np.argsort(order)]
        return text + (".T" if back == sorted(back)[::-1] else f".transpose({', '.join(map(str, back))})")


def blocks(arrays: Sequence[Any]) -> list[Block]:
    """Lay arrays out one after the other, each in the memory order of what NumPy computes from it."""
    starts = [0]
    for array in arrays:
        starts.append(starts[-1] + array.size)
    return [
        Block(start, a.shape, np.maximum(a, a).strides, end - start)
        for a, (start, end) in zip(arrays, pairwise(starts), strict=True)
    ]


# Python without a global lock counts references in several places: there, every step gets new arrays
COUNTED = getattr(sys, "_is_gil_enabled", lambda: True)()
NEVER = -(1 << 30)
LINE = 64  # bytes of a line of the cache


class Pack:
    """One flat array, its parts for the program to write to, and locked views of them to hand out."""

    __slots__ = ("alone", "arrays", "chosen", "public", "watched")

    def __init__(self, layout: list[Block], dtype: Any):
        owner, flat = _aligned(sum(block.size for block in layout), np.dtype(dtype))
        self.arrays = (flat, *(block.of(flat) for block in layout))
        self.public = tuple(_locked_view(array) for array in self.arrays[1:])
        self.chosen: dict[tuple[int, ...], tuple[Any, ...]] = {}
        self.watched = (owner, *self.public)  # whoever keeps a view of a view keeps the owner
        del owner, flat
        self.alone = self.holders() if COUNTED else NEVER

    def choose(self, numbers: tuple[int, ...]) -> tuple[Any, ...]:
        """Return some of the arrays, by number, and remember them."""
        self.chosen[numbers] = tuple(self.arrays[i] for i in numbers)
        return self.chosen[numbers]

    def holders(self) -> int:
        """Count the references to the arrays: more than `alone` shows that somebody has kept one."""
        return sum(map(getrefcount, self.watched))


def _aligned(size: int, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """Make an array that begins where a line of the cache does, and return the owner of its memory and it.

    NumPy lets arrays begin anywhere, and an optimizer takes up to a tenth longer where they do.
    """
    if dtype.hasobject:
        flat = np.empty(size, dtype)
        return flat, flat
    owner = np.empty(size * dtype.itemsize + LINE, np.uint8)
    skipped = -owner.ctypes.data % LINE
    return owner, owner[skipped : skipped + size * dtype.itemsize].view(dtype)


def _locked_view(array: Any) -> Any:
    view = array.view()
    view.setflags(write=False)
    return view


class Home:
    """Where Tensors that are updated together keep their values: one pack for now, one for the next step.

    A program holds all of its `locks` while it moves the Tensors: two homes with a Tensor in common have a
    lock in common, and others none, so that two models do not wait for each other.
    """

    def __init__(self, tensors: Sequence[Recorded], arrays: Sequence[Any]):
        self.tensors = tuple(tensors)
        self.locks = _locks_for(self.tensors)
        self.layout = blocks(arrays)
        self.dtype = arrays[0].dtype
        self.now = Pack(self.layout, self.dtype)
        self.spare = Pack(self.layout, self.dtype)
        self.at_home = self._checker()

    def _checker(self) -> Callable[[], bool]:
        """Write the test whether every Tensor's array is the one of now."""
        if len(self.tensors) > 64:
            return lambda: all(map(is_, [tensor._data for tensor in self.tensors], self.now.public))
        world: dict[str, Any] = {f"t{i}": tensor for i, tensor in enumerate(self.tensors)} | {"home": self}
        names = "".join(f"a{i}, " for i in range(len(self.tensors)))
        tests = " and ".join(f"t{i}._data is a{i}" for i in range(len(self.tensors)))
        exec(f"def at_home():\n {names} = home.now.public\n return {tests}", world)
        made: Callable[[], bool] = world["at_home"]
        return made

    def ready(self) -> tuple[Pack, Pack]:
        """Return the pack with the Tensors' values of now, and one to write the next into."""
        if self.spare.holders() != self.spare.alone:
            self.spare = Pack(self.layout, self.dtype)  # somebody has kept one of its arrays
        if not self.at_home():
            self.take_in()
        return self.now, self.spare

    def take_in(self) -> None:
        """Copy values that Tensors were given elsewhere."""
        pack = Pack(self.layout, self.dtype)
        for tensor, array in zip(self.tensors, pack.arrays[1:], strict=True):
            np.copyto(array, tensor._data)
        self.swap(self.spare, pack)

    def swap(self, now: Pack, new: Pack) -> None:
        """Let the values that were written become the Tensors' own. Doing it again changes nothing."""
        for tensor, view in zip(self.tensors, new.public):  # noqa: B905 (faster)
            tensor._data = view
        self.now, self.spare = new, now


_homes: "weakref.WeakValueDictionary[Any, Home]" = weakref.WeakValueDictionary()
_making = threading.RLock()  # held while a home is made
_numbers = itertools.count()


class Lock(NamedTuple):
    """A lock with a number: all take theirs in the order of the numbers, so that none waits in a circle."""

    number: int
    lock: Any


def _locks_for(tensors: Sequence[Recorded]) -> list[Lock]:
    """List the locks of all homes that have one of the Tensors, or make a new one."""
    wanted = set(map(id, tensors))
    common = [home for home in list(_homes.values()) if not wanted.isdisjoint(map(id, home.tensors))]
    found = sorted({lock for home in common for lock in home.locks})
    return found or [Lock(next(_numbers), threading.RLock())]


def home_of(tensors: Sequence[Any], arrays: Sequence[Any]) -> Home:
    """Return the home of Tensors, the same one for all programs that update them together."""
    key = (*map(id, tensors), *(array.strides for array in arrays))
    with _making:
        home = _homes.get(key)
        if home is None:
            home = _homes[key] = Home(tensors, arrays)
    return home
