"""Recipes for matrix products and their relatives."""

import itertools
import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_edu.testing.strategies import arrays, axes, broadcastable, shapes

from .base import ONE_AXIS, Case, call, covers, options


@covers(np.matmul)
def _(draw: Any) -> Case:
    n, m, k = (draw(st.integers(0, 3)) for _ in range(3))
    stack_a, stack_b = draw(broadcastable(2, max_dims=2))
    of_a = draw(st.sampled_from([(*stack_a, n, m), (n, m), (m,)]))
    of_b = draw(st.sampled_from([(*stack_b, m, k), (m, k), (m,)]))
    return call(draw(arrays(of_a)), draw(arrays(of_b)))


covers(np.linalg.matmul)(lambda draw: call(draw(arrays((2, 2, 3))), draw(arrays((3, 2)))))


@covers(np.dot)
def _(draw: Any) -> Case:
    m = draw(st.integers(0, 3))
    rest, other = draw(shapes(max_dims=2)), draw(shapes(max_dims=2))
    of_a = draw(st.sampled_from([(), (m,), (*rest, m)]))
    of_b = draw(st.sampled_from([(), (m,), (m, 2), (*other, m, 2)]))
    return call(draw(arrays(of_a)), draw(arrays(of_b)))


@covers(np.inner)
def _(draw: Any) -> Case:
    m = draw(st.integers(0, 3))
    rest, other = draw(shapes(max_dims=2)), draw(shapes(max_dims=2))
    of_a = draw(st.sampled_from([(), (m,), (*rest, m)]))
    of_b = draw(st.sampled_from([(), (m,), (*other, m)]))
    return call(draw(arrays(of_a)), draw(arrays(of_b)))


covers(np.outer)(lambda draw: call(draw(arrays(shapes(max_dims=2))), draw(arrays(shapes(max_dims=2)))))


covers(np.linalg.outer)(lambda draw: call(draw(arrays(shapes(1, 1))), draw(arrays(shapes(1, 1)))))


@covers(np.vdot)
def _(draw: Any) -> Case:
    shape = draw(shapes(max_dims=2))
    return call(draw(arrays(shape)), draw(arrays(st.sampled_from([shape, (math.prod(shape),)]))))


@covers(np.vecdot, np.linalg.vecdot)
def _(draw: Any) -> Case:
    of_a, of_b = draw(broadcastable(2, max_dims=2))
    n = draw(st.integers(0, 3))
    if draw(st.booleans()):
        return call(draw(arrays((*of_a, n))), draw(arrays((*of_b, n))))
    shape = draw(shapes(1))
    return call(draw(arrays(shape)), draw(arrays(shape)), axis=draw(axes(len(shape), **ONE_AXIS)))


@covers(np.matvec)
def _(draw: Any) -> Case:
    of_a, of_v = draw(broadcastable(2, max_dims=2))
    n, m = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    return call(draw(arrays((*of_a, n, m))), draw(arrays((*of_v, m))))


@covers(np.vecmat)
def _(draw: Any) -> Case:
    of_a, of_v = draw(broadcastable(2, max_dims=2))
    n, m = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    return call(draw(arrays((*of_v, n))), draw(arrays((*of_a, n, m))))


@covers(np.tensordot)
def _(draw: Any) -> Case:
    of_a = draw(shapes())
    count = draw(st.integers(0, len(of_a)))
    rest = draw(shapes(max_dims=2))
    if draw(st.booleans()):
        shape = of_a[len(of_a) - count :] + rest
        return call(draw(arrays(of_a)), draw(arrays(shape)), count)
    chosen = draw(st.permutations(range(len(of_a))))[:count]
    places = draw(st.permutations(range(count + len(rest))))
    shape: list[int] = [0] * len(places)
    for n, place in zip([of_a[i] for i in chosen] + list(rest), places, strict=True):
        shape[place] = n
    sides = [list(chosen), list(places[:count])]
    if count == 1 and draw(st.booleans()):
        sides = [chosen[0] - len(of_a), places[0]]
    return call(draw(arrays(of_a)), draw(arrays(tuple(shape))), sides)


covers(np.linalg.tensordot)(
    lambda draw: call(
        draw(arrays((2, 2, 3))),
        draw(arrays((2, 3))),
        **options(draw, axes=st.sampled_from([2, 0, [[0], [0]]])),
    )
)


EINSUMS = (
    *("i->", "i->i", "ij->ji", "ij->j", "ii->i", "ii->", "ii", "ij", "ji", "ijk->kj", "iij->ij", "iii->i"),
    *("i,i->", "i,j->ij", "ij,jk->ik", "ij,jk", "ij,ij->i", "ij,ji->", "i,ij,j->", "ij,jk,kl->il"),
    *("...->...", "i...->...", "...i->...", "...i,...i->...", "i...j,j->i...", "ij...,jk...->ik..."),
    *("...ij,...jk->...ik", "...ij,...jk", "ii...,i->...", "i,i,i->i", "ij,kj->", "ij,k->j", ",i->i", ",->"),
    *("b i j, b j k -> b i k", "ii,jj->ij", "ij,ij,ij->", "ijj->i", "...ii->...i"),
)


@covers(np.einsum)
def _(draw: Any) -> Case:
    subscripts = draw(st.sampled_from(EINSUMS))
    sides = {letter: draw(st.integers(0, 3)) for letter in "ijklb"}
    hidden = draw(shapes(max_dims=2))
    factors = []
    for letters in subscripts.replace(" ", "").split("->")[0].split(","):
        stretched = tuple(draw(st.sampled_from([n, 1])) for n in hidden) if hidden else ()
        hidden_here = stretched[draw(st.integers(0, len(stretched))) :]
        shape: tuple[int, ...] = ()
        one = draw(st.integers(0, 4)) == 0  # einsum stretches axes of length 1
        for part in letters.replace("...", "."):
            side = (sides[part],) if part != "." else hidden_here
            shape += (1,) if one and part != "." and letters.count(part) == 1 else side
        factors.append(draw(arrays(shape)))
    how = options(draw, optimize=st.sampled_from([True, False, "greedy"]))
    if "." not in subscripts and draw(st.booleans()):
        left, _, right = subscripts.replace(" ", "").partition("->")
        numbered = [
            part for pair in zip(factors, map(numbers_of, left.split(",")), strict=True) for part in pair
        ]
        return call(*numbered, *([numbers_of(right)] if "->" in subscripts else []), **how)
    return call(subscripts, *factors, **how)


def numbers_of(letters: str) -> list[int]:
    """Write axes as np.einsum's other form has them: "ij" is [8, 9]."""
    return [ord(letter) - ord("a") for letter in letters]


@covers(np.cross)
def _(draw: Any) -> Case:
    of_a, of_b = draw(broadcastable(2, max_dims=2))
    a, b = draw(arrays((*of_a, 3))), draw(arrays((*of_b, 3)))
    if draw(st.booleans()):
        return call(a, b)
    shape = draw(shapes(max_dims=2))
    place = draw(st.integers(0, len(shape)))
    a, b = draw(arrays((*shape, 3))), draw(arrays((*shape[:place], 3, *shape[place:])))
    if draw(st.booleans()):
        return call(np.moveaxis(a, -1, place), b, axis=place)
    return call(a, b, axisb=place, axisc=draw(axes(a.ndim, **ONE_AXIS)))


@covers(np.linalg.cross)
def _(draw: Any) -> Case:
    shape = draw(shapes(max_dims=2))
    place = draw(st.integers(0, len(shape)))
    a, b = (draw(arrays((*shape[:place], 3, *shape[place:]))) for _ in range(2))
    return call(a, b, axis=draw(st.sampled_from([place, place - a.ndim])))


covers(np.kron)(lambda draw: call(draw(arrays(shapes(max_side=2))), draw(arrays(shapes(max_side=2)))))


@covers(np.convolve, np.correlate)
def _(draw: Any) -> Case:
    a, v = draw(arrays((draw(st.integers(1, 5)),))), draw(arrays((draw(st.integers(1, 5)),)))
    return call(a, v, *draw(st.sampled_from([(), ("full",), ("same",), ("valid",)])))


@covers(np.trace)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(2)))
    first, second = draw(st.permutations(range(x.ndim)))[:2]
    how = {"axis1": first, "axis2": second - x.ndim} if draw(st.booleans()) else {}
    return call(x, **how, **options(draw, offset=st.integers(-2, 2), dtype=st.just(np.float64)))


covers(np.linalg.trace)(
    lambda draw: call(draw(arrays(shapes(2))), **options(draw, offset=st.integers(-2, 2)))
)


@covers(np.linalg.multi_dot)
def _(draw: Any) -> Case:
    sides = [draw(st.integers(1, 3)) for _ in range(draw(st.integers(3, 5)))]
    forms = list(itertools.pairwise(sides))
    forms[0] = draw(st.sampled_from([forms[0], forms[0][1:]]))
    forms[-1] = draw(st.sampled_from([forms[-1], forms[-1][:1]]))
    return call([draw(arrays(form)) for form in forms])
