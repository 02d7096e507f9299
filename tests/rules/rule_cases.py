"""How to call each function that has a gradient rule: one entry a function, read by test_rules.py.

An entry is a recipe that draws the arguments of one call. Most are one line::

    covers(np.tile)(lambda draw: call(draw(arrays()), draw(st.integers(0, 3))))

An elementwise function of one or two arguments that is smooth at 0.4 to 2 and at -2 to -0.4 needs no entry if
it is a ufunc; one with a smaller domain needs a line in `DOMAINS`.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tinygrad_edu.recording import pick
from tinygrad_edu.rules.indexing import getitem, put
from tinygrad_edu.rules.shapes import astype
from tinygrad_edu.testing.strategies import (
    AWAY_FROM_ZERO,
    arrays,
    axes,
    broadcastable,
    indices,
    masks,
    shapes,
)


class Case(NamedTuple):
    """The arguments of a call, options for `check_gradient`, and what to call if not the function itself."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: dict[str, Any]
    function: Callable[..., Any] | None = None


CASES: dict[Any, st.SearchStrategy[Case]] = {}


def call(*args: Any, **kwargs: Any) -> Case:
    return Case(args, kwargs, {})


def covers(*fns: Any) -> Callable[[Callable[..., Case]], None]:
    """Enter a recipe for some functions: it is called with Hypothesis's `draw`."""

    def enter(recipe: Callable[..., Case]) -> None:
        for fn in fns:
            CASES[undecorated(fn)] = st.composite(recipe)()

    return enter


def undecorated(fn: Any) -> Any:
    """Return the function that the table knows a primitive of ours by."""
    ours = getattr(fn, "__module__", None) is not None and fn.__module__.startswith("tinygrad_edu")
    return getattr(fn, "__wrapped__", fn) if ours else fn


def options(draw: Any, **choices: st.SearchStrategy[Any]) -> dict[str, Any]:
    """Draw some of the keyword arguments, leaving out others."""
    return {name: draw(values) for name, values in choices.items() if draw(st.booleans())}


# Elementwise functions -------------------------------------------------------------------------------------

POSITIVE = (0.4, 3.0)
# where a function is smooth (for its only argument, or for each), if not in AWAY_FROM_ZERO
DOMAINS: dict[Any, tuple[Any, ...]] = {
    np.sqrt: (POSITIVE,),
    np.log: (POSITIVE,),
    np.log2: (POSITIVE,),
    np.log10: (POSITIVE,),
    np.log1p: ((-0.6, 2.0),),
    np.arcsin: ((-0.7, 0.7),),
    np.arccos: ((-0.7, 0.7),),
    np.arctanh: ((-0.7, 0.7),),
    np.arccosh: ((1.4, 3.0),),
    np.tan: ((-1.1, 1.1),),
    np.remainder: (((0.2, 0.8), (-0.8, -0.2)), ((1.0, 2.0), (-2.0, -1.0))),
    np.fmod: (((0.2, 0.8), (-0.8, -0.2)), ((1.0, 2.0), (-2.0, -1.0))),
    np.floor_divide: (((0.2, 0.8), (-0.8, -0.2)), ((1.0, 2.0), (-2.0, -1.0))),
    np.floor: (((0.2, 0.8), (-1.8, -1.2)),),
    np.ceil: (((0.2, 0.8), (-1.8, -1.2)),),
    np.trunc: (((0.2, 0.8), (-1.8, -1.2)),),
    np.fix: (((0.2, 0.8), (-1.8, -1.2)),),
    np.rint: (((-0.3, 0.3), (0.7, 1.3), (-2.3, -1.7)),),
    np.power: (POSITIVE, (-2.0, 2.0)),
    np.float_power: (POSITIVE, (-2.0, 2.0)),
    np.exp: ((-2.0, 2.0),),
    np.spacing: (((0.6, 0.9),),),
    np.modf: (((0.2, 0.8), (-1.8, -1.2)),),
    np.divmod: (((0.2, 0.8), (-0.8, -0.2)), ((1.0, 2.0), (-2.0, -1.0))),
    np.frexp: (((0.6, 0.9), (1.2, 1.8), (-0.9, -0.6)),),
    np.sin: ((-4.0, 4.0),),
    np.cos: ((-4.0, 4.0),),
}
SMALL_STEP = {"step": 1 / 1024}  # where kinks are near and pieces between them straight
TIES = {np.maximum, np.minimum, np.fmax, np.fmin}


@st.composite
def elementwise(draw: Any, count: int, domains: tuple[Any, ...] = (), distinct: bool = False) -> Case:
    """Draw arrays that broadcast together, of the given domains."""
    domains = domains or (AWAY_FROM_ZERO,) * count
    forms = draw(broadcastable(count))
    drawn = [draw(arrays(form, domain)) for form, domain in zip(forms, domains, strict=True)]
    if distinct:  # values of different arguments never tie
        drawn = [draw(arrays(form, distinct=True)) + 0.15 * i for i, form in enumerate(forms)]
        return Case(tuple(drawn), {}, SMALL_STEP)
    return call(*drawn)


def strategy_for(fn: Any) -> st.SearchStrategy[Case] | None:
    """Return the recipe for a function: its entry, or a made-up one for a ufunc."""
    if fn in CASES:
        return CASES[fn]
    if isinstance(fn, np.ufunc) and fn.signature is None:
        return elementwise(fn.nin, DOMAINS.get(fn, ()), fn in TIES)
    return None


def unary(*fns: Any, domain: Any = AWAY_FROM_ZERO) -> None:
    covers(*fns)(lambda draw: call(draw(arrays(domain=domain))))


unary(np.fix, domain=DOMAINS[np.fix][0])
covers(np.round)(
    lambda draw: call(draw(arrays(domain=((0.09, 0.11), (-0.31, -0.29)))), draw(st.sampled_from([0, 1])))
)


@covers(np.where)
def _(draw: Any) -> Case:
    a, b, condition = draw(broadcastable(3))
    chosen = st.one_of(arrays(a), st.just(0.0), st.just(2))
    return call(draw(masks(condition)), draw(chosen), draw(arrays(b)))


@covers(np.clip)
def _(draw: Any) -> Case:
    of_a, of_low, of_high = draw(broadcastable(3))
    a, low = draw(arrays(of_a, distinct=True)), draw(arrays(of_low, (-1.1, -1.0)))
    high = draw(arrays(of_high, (1.0, 1.1)))
    assume(all(np.all(np.abs(a[..., None] - bound.ravel()) > 0.1) for bound in (low, high)))
    form = draw(st.sampled_from(["arrays", "low", "high", "numbers", "reversed", "min", "max", "minmax"]))
    return {
        "arrays": call(a, low, high),
        "low": call(a, low, None),
        "high": call(a, None, high),
        "numbers": call(a, -1.05, 1.05) if np.all(np.abs(np.abs(a) - 1.05) > 0.1) else call(a, None, 9),
        "reversed": call(a, high, low),
        "min": call(a, min=-1.3) if np.all(np.abs(a + 1.3) > 0.1) else call(a, min=-9),
        "max": call(a, max=9.0),
        "minmax": call(a, min=-9, max=9.0),
    }[form]


# Reductions and scans --------------------------------------------------------------------------------------


def enough(draw: Any, x: Any, axis: Any, least: int) -> Any:
    """Draw a mask for ``where=`` that leaves at least so many elements to each result."""
    mask = draw(masks(x.shape))
    return mask | (np.sum(mask, axis, keepdims=True) < least)


def reduced(x: Any, axis: Any) -> int:
    """Return how many elements go into each result."""
    if axis is None:
        return x.size
    return math.prod(x.shape[i] for i in (axis if isinstance(axis, tuple) else (axis,)))


def reduction(*fns: Any, least: int = 0, ddof: bool = False, distinct: bool = False, **more: Any) -> None:
    """Enter sums and the like: axis, keepdims, where, and what else is drawn from `more`."""

    @covers(*fns)
    def _(draw: Any) -> Case:
        x = draw(arrays(distinct=distinct))
        how = options(draw, axis=axes(x.ndim), keepdims=st.booleans(), **more)
        axis = how.get("axis")
        freedom = draw(st.sampled_from([0, 1, 0.5])) if ddof else 0
        if freedom:
            how["ddof"] = freedom
        needed = least + math.ceil(freedom)
        assume(reduced(x, axis) >= needed)
        if draw(st.booleans()):
            how["where"] = enough(draw, x, axis, needed)
        return call(x, **how)


reduction(np.sum, initial=st.sampled_from([0, 2.5]))
reduction(np.prod, initial=st.sampled_from([1, 2.5]))
reduction(np.mean, least=1)
reduction(np.var, least=1, ddof=True)
reduction(np.std, least=2, ddof=True, distinct=True)


@covers(np.max, np.min)
def _(draw: Any) -> Case:
    x = draw(arrays(distinct=True))
    how = options(draw, axis=axes(x.ndim), keepdims=st.booleans())
    if draw(st.booleans()):
        how["where"] = draw(masks(x.shape))
    if "where" in how or draw(st.booleans()):
        how["initial"] = draw(st.sampled_from([0.0, -20.0, 20.0]))
    assume("initial" in how or reduced(x, how.get("axis")))
    return call(x, **how)


@covers(np.cumsum)
def _(draw: Any) -> Case:
    x = draw(arrays())
    return call(x, **options(draw, axis=axes(x.ndim, several=False)))


# Shapes ----------------------------------------------------------------------------------------------------


@covers(np.reshape)
def _(draw: Any) -> Case:
    x = draw(arrays())
    shape = draw(st.permutations(x.shape).map(tuple))
    choices = [shape, (*shape, 1), x.size] + ([-1, (-1,), (1, -1)] if x.size else [])
    return call(x, draw(st.sampled_from(choices)), **options(draw, order=st.sampled_from("CF")))


covers(np.ravel)(lambda draw: call(draw(arrays()), **options(draw, order=st.sampled_from("CF"))))
covers(np.copy)(lambda draw: call(draw(arrays()), **options(draw, order=st.sampled_from("CFAK"))))
covers(np.atleast_1d, np.atleast_2d, np.atleast_3d)(lambda draw: call(draw(arrays())))
covers(np.matrix_transpose)(lambda draw: call(draw(arrays(shapes(2)))))
covers(np.flipud)(lambda draw: call(draw(arrays(shapes(1)))))
covers(np.fliplr)(lambda draw: call(draw(arrays(shapes(2)))))


@covers(np.squeeze)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(max_side=2)))
    ones = [i for i, n in enumerate(x.shape) if n == 1]
    choices = [None, tuple(ones), *ones, *(i - x.ndim for i in ones)]
    return call(x, draw(st.sampled_from(choices)))


@covers(np.expand_dims)
def _(draw: Any) -> Case:
    x = draw(arrays())
    return call(x, draw(st.sampled_from([0, -1, x.ndim, (0, 1), (0, -1), ()])))


@covers(np.transpose)
def _(draw: Any) -> Case:
    x = draw(arrays())
    order = draw(st.permutations(range(x.ndim)))
    return call(x, draw(st.sampled_from([None, tuple(order), [i - x.ndim for i in order]])))


@covers(np.swapaxes)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    number = axes(x.ndim, several=False, none=False)
    return call(x, draw(number), draw(number))


@covers(np.moveaxis)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    number = axes(x.ndim, several=False, none=False)
    several = st.lists(number, unique_by=lambda i: i % x.ndim, min_size=x.ndim, max_size=x.ndim)
    count = draw(st.integers(0, x.ndim))
    if draw(st.booleans()):
        return call(x, draw(number), draw(number))
    return call(x, draw(several)[:count], draw(several)[:count])


@covers(np.flip)
def _(draw: Any) -> Case:
    x = draw(arrays())
    return call(x, **options(draw, axis=axes(x.ndim)))


@covers(np.roll)
def _(draw: Any) -> Case:
    x = draw(arrays())
    axis = draw(axes(x.ndim).filter(lambda axis: axis != ()))
    shift = st.integers(-4, 4)
    if isinstance(axis, tuple) and draw(st.booleans()):
        return call(x, tuple(draw(shift) for _ in axis), axis)
    return call(x, draw(shift), axis)


@covers(np.rot90)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(2)))
    plane = draw(st.permutations(range(x.ndim)))[:2]
    return call(x, **options(draw, k=st.integers(-2, 5), axes=st.just(tuple(plane))))


@covers(np.tile)
def _(draw: Any) -> Case:
    reps = st.one_of(st.integers(0, 3), st.lists(st.integers(0, 2), max_size=3).map(tuple))
    return call(draw(arrays(shapes(max_dims=2))), draw(reps))


@covers(np.repeat)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(max_dims=2)))
    axis = draw(axes(x.ndim, several=False))
    n = x.size if axis is None else x.shape[axis]
    each = st.lists(st.integers(0, 3), min_size=n, max_size=n)
    repeats = draw(st.one_of(st.integers(0, 3), each, each.map(lambda r: np.array(r, int)), st.just([2])))
    return call(x, repeats) if axis is None else call(x, repeats, axis)


@covers(np.broadcast_to)
def _(draw: Any) -> Case:
    small, large = draw(broadcastable(2))
    full = np.broadcast_shapes(small, large)
    return call(draw(arrays(small)), draw(st.sampled_from([full, (2, *full)])))


@covers(np.full_like)
def _(draw: Any) -> Case:
    small, large = draw(broadcastable(2))
    return call(np.zeros(np.broadcast_shapes(small, large)), draw(arrays(small)))


# ndarray.astype is always done inside check_gradient; here float64 -> float64
covers(astype)(lambda draw: call(draw(arrays()), draw(st.sampled_from([float, "f8", np.longdouble]))))


def joined(draw: Any, axis: int | None, ndim: int, most: int = 3) -> list[Any]:
    """Draw arrays that differ in length along one axis only (or in any way, for axis None)."""
    count = draw(st.integers(1, most))
    if axis is None:
        return [draw(arrays()) for _ in range(count)]
    shape = list(draw(shapes(ndim, ndim)))
    found = []
    for _ in range(count):
        shape[axis] = draw(st.integers(0, 3))
        found.append(draw(arrays(tuple(shape))))
    return found


@covers(np.concatenate)
def _(draw: Any) -> Case:
    ndim = draw(st.integers(1, 3))
    axis = draw(axes(ndim, several=False))
    parts = joined(draw, axis, ndim)
    if axis is not None and draw(st.booleans()):  # a plain list among the arrays
        parts[0] = np.ones(parts[0].shape).tolist() if parts[0].size else parts[0]
    container = draw(st.sampled_from([list, tuple]))
    return call(container(parts), **({} if axis == 0 else {"axis": axis}))


@covers(np.stack)
def _(draw: Any) -> Case:
    shape = draw(shapes(max_dims=2))
    parts = [draw(arrays(shape)) for _ in range(draw(st.integers(1, 3)))]
    return call(parts, **options(draw, axis=st.integers(-len(shape) - 1, len(shape))))


covers(np.vstack)(lambda draw: call(joined(draw, 0, draw(st.integers(2, 3)))))
covers(np.dstack)(lambda draw: call(joined(draw, 2, 3)))


@covers(np.hstack)
def _(draw: Any) -> Case:
    ndim = draw(st.integers(1, 3))
    return call(joined(draw, min(ndim - 1, 1), ndim))


@covers(np.column_stack)
def _(draw: Any) -> Case:
    n = draw(st.integers(1, 3))
    return call([draw(arrays(st.sampled_from([(n,), (n, 2), (n, 1)]))) for _ in range(2)])


@covers(np.block)
def _(draw: Any) -> Case:
    p, q, r = (draw(st.integers(1, 2)) for _ in range(3))
    if draw(st.booleans()):
        return call([draw(arrays((p,))), draw(arrays(()))])
    rows = [[(p, q), (p, r)], [(2, q), (2, r)]]
    return call([[draw(arrays(shape)) for shape in row] for row in rows])


@covers(np.diag)
def _(draw: Any) -> Case:
    return call(draw(arrays(shapes(1, 2))), **options(draw, k=st.integers(-2, 2)))


@covers(np.diagonal)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(2)))
    first, second = draw(st.permutations(range(x.ndim)))[:2]
    how = {"axis1": first, "axis2": second - x.ndim} if draw(st.booleans()) else {}
    return call(x, **options(draw, offset=st.integers(-2, 2)), **how)


covers(np.tril, np.triu)(lambda draw: call(draw(arrays(shapes(1))), **options(draw, k=st.integers(-2, 2))))


@covers(np.unstack)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1, min_side=1)))
    return call(x, **options(draw, axis=axes(x.ndim, several=False, none=False)))


def cuts(draw: Any, n: int) -> Any:
    """Draw how to split an axis: a number of equal parts, or places (which may lie outside)."""
    return draw(
        st.one_of(
            st.sampled_from([k for k in range(1, max(n, 1) + 1) if n % k == 0]),
            st.lists(st.integers(0, n), max_size=2).map(sorted),
        )
    )


@covers(np.split)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    axis = draw(axes(x.ndim, several=False, none=False))
    return call(x, cuts(draw, x.shape[axis]), **({} if axis == 0 else {"axis": axis}))


@covers(np.array_split)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1)))
    axis = draw(axes(x.ndim, several=False, none=False))
    return call(x, draw(st.integers(1, 4)), axis)


def split_along(fn: Any, axis: int, least: int) -> None:
    @covers(fn)
    def _(draw: Any) -> Case:
        x = draw(arrays(shapes(least)))
        return call(x, cuts(draw, x.shape[min(axis, x.ndim - 1)]))


split_along(np.vsplit, 0, 2)
split_along(np.hsplit, 1, 1)
split_along(np.dsplit, 2, 3)


@covers(np.pad)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(min_side=1)))
    width = st.integers(0, 4)
    pair = st.tuples(width, width)
    forms = [width, pair, st.lists(pair, min_size=x.ndim, max_size=x.ndim)] if x.ndim else [st.just(())]
    if x.ndim:
        forms.append(st.dictionaries(st.integers(-x.ndim, -1), st.one_of(width, pair), max_size=x.ndim))
    mode = draw(st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap"]))
    how = {"constant_values": 3.0} if mode == "constant" and draw(st.booleans()) else {}
    if not x.ndim:
        return call(x, 0)
    return call(x, draw(st.one_of(forms)), mode, **how)


# Indexing --------------------------------------------------------------------------------------------------


@covers(getitem)
def _(draw: Any) -> Case:
    x = draw(arrays())
    return call(x, draw(indices(x.shape)))


@covers(put)
def _(draw: Any) -> Case:
    shape = draw(shapes())
    index = draw(indices(shape))
    return call(draw(arrays(np.zeros(shape)[index].shape)), index, shape)


@covers(np.take)
def _(draw: Any) -> Case:
    x = draw(arrays(shapes(1, min_side=1)))
    axis = draw(axes(x.ndim, several=False))
    n = x.size if axis is None else x.shape[axis]
    mode = draw(st.sampled_from(["raise", "wrap", "clip"]))
    numbers = st.integers(-n, n - 1) if mode == "raise" else st.integers(-2 * n, 2 * n)
    places = draw(st.one_of(numbers, st.lists(numbers, min_size=1, max_size=4)))
    if isinstance(places, list) and draw(st.booleans()):
        places = np.array(places)[:, None]
    return call(x, places, axis=axis, **({} if mode == "raise" else {"mode": mode}))


@covers(pick)  # recorded for each result of a function with several
def _(draw: Any) -> Case:
    case = call(draw(arrays((4, 2))), draw(st.integers(0, 1)))
    return case._replace(function=lambda x, index: np.split(x, [1])[index])


# Products --------------------------------------------------------------------------------------------------


@covers(np.matmul)
def _(draw: Any) -> Case:
    n, m, k = (draw(st.integers(0, 3)) for _ in range(3))
    stack_a, stack_b = draw(broadcastable(2, max_dims=2))
    of_a = draw(st.sampled_from([(*stack_a, n, m), (n, m), (m,)]))
    of_b = draw(st.sampled_from([(*stack_b, m, k), (m, k), (m,)]))
    return call(draw(arrays(of_a)), draw(arrays(of_b)))


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


@covers(np.vdot)
def _(draw: Any) -> Case:
    shape = draw(shapes(max_dims=2))
    return call(draw(arrays(shape)), draw(arrays(st.sampled_from([shape, (math.prod(shape),)]))))


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
