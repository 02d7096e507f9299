"""`Tensor`: an array that remembers the NumPy call that made it. No calculus here.

A Tensor speaks NumPy's own protocols (`__array_ufunc__`, NEP 13; `__array_function__`, NEP 18), so
``np.exp(x)`` and ``x @ w + b`` hand their calls to `apply`. The gradient rules are in `rules`, the
chain rule in `backward`.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .at import At
from .backward import backward
from .callsites import expression_at, users_place
from .keeping import may_change
from .recording import LEAF, Recorded, apply, make, pick, results_are, tensors_in
from .rules import NoGradientRule, function_name, is_differentiable
from .rules.indexing import getitem
from .rules.shapes import astype
from .scalars import remember, warn_if_taken
from .state import current_trace, inside_transform, is_recording

_call: Callable[..., "Tensor"] = apply

# ufunc methods that are functions with rules of their own
_METHODS: dict[tuple[np.ufunc, str], Callable[..., Any]] = {
    (np.add, "reduce"): np.sum,
    (np.multiply, "reduce"): np.prod,
    (np.maximum, "reduce"): np.max,
    (np.minimum, "reduce"): np.min,
    (np.logical_and, "reduce"): np.all,
    (np.logical_or, "reduce"): np.any,
    (np.add, "accumulate"): np.cumsum,
}
# powers that ndarray's ** computes by a shorter call; taking the same call keeps values equal to the last bit
_POWERS: dict[float, Callable[..., Any]] = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal}


def _own(data: Any, dtype: Any = None) -> Any:
    """Return `data` as an array that nobody else can change: a locked copy, or what a Tensor holds.

    A locked array is copied too: somebody may have a view of it from before it was locked.
    """
    if isinstance(data, Recorded):
        if data.node is not None:
            raise TypeError(
                "Tensor(...) of a Tensor that needs a gradient would cut it off; use it as it is, or detach()"
            )
        data = data.data
        if dtype is None and not may_change(data):
            return data
    if hasattr(data, "mask"):
        raise TypeError("a masked array would lose its mask; fill it first, or use where=")
    if hasattr(data, "__array_function__") and not isinstance(data, np.ndarray):
        data = data if hasattr(data, "dtype") else np.positive(data)  # a number under capture
        return data if dtype is None else data.astype(dtype)
    repeated = 0 in getattr(data, "strides", ())  # as by broadcasting: its memory has no order to keep
    array = np.array(data, dtype=dtype, order="C" if repeated else "K")
    array.setflags(write=False)
    return array


def _no_out(fn: Any) -> TypeError:
    return TypeError(
        "out= (or an in-place operator on a plain array) cannot hold a recorded result; "
        f"write  result = {function_name(fn)}(...)  instead"
    )


def _is_out(fn: Any, args: tuple[Any, ...]) -> bool:
    """Tell whether the last of at least three positional arguments is a place for the result."""
    if len(args) < 3 or type(args[-1]) is not np.ndarray:
        return False
    try:
        return "out" in inspect.signature(fn).bind_partial(*args).arguments
    except (TypeError, ValueError):
        return fn is np.dot


def _cast(inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Apply a ufunc's dtype= to its inputs, and drop the options that change nothing about its result."""
    if kwargs.get("where", True) is not True:
        raise TypeError(
            "where= leaves elements of a ufunc's result undefined; choose them with np.where(...)"
        )
    for option in ("where", "casting", "order", "subok"):
        kwargs.pop(option, None)
    dtype = kwargs.pop("dtype", None)
    if dtype is None:
        return inputs
    return tuple(x.astype(dtype) if isinstance(x, Tensor) else np.asarray(x, dtype) for x in inputs)


def _binary(
    ufunc: np.ufunc,
) -> tuple[Callable[["Tensor", Any], "Tensor"], Callable[["Tensor", Any], "Tensor"]]:
    """Make an operator from a ufunc, and its reflection for when the Tensor stands on the right."""

    def operator(self: "Tensor", other: Any) -> "Tensor":
        return _call(ufunc, (self, other))

    def reflected(self: "Tensor", other: Any) -> "Tensor":
        return _call(ufunc, (other, self))

    return operator, reflected


def _in_place(ufunc: np.ufunc) -> Callable[["Tensor", Any], "Tensor"]:
    """Make an operator such as -=, which on a parameter is meant to update it."""

    def operator(self: "Tensor", other: Any) -> "Tensor":
        if self.node is not LEAF:
            return _call(ufunc, (self, other))
        if is_recording():
            raise TypeError(
                f"an in-place operator would replace {self.name or 'this leaf'} by the result of "
                f"np.{ufunc.__name__}, and its gradient would be lost; write  w.assign(w - 0.1 * w.grad),  "
                "let an optimizer do it, or put it into a block  with no_grad():"
            )
        return self.assign(_call(ufunc, (self, other)))

    return operator


def _unary(ufunc: np.ufunc) -> Callable[["Tensor"], "Tensor"]:
    def operator(self: "Tensor") -> "Tensor":
        return _call(ufunc, (self,))

    return operator


class Tensor(Recorded):
    """An array that remembers the NumPy call that made it, so that gradients can be traced back through it.

    Args:
        data: anything `numpy.array` takes; copied, so that later changes to it do not reach the Tensor.
            Arrays of other libraries that speak NumPy's protocols (Dask, CuPy) are kept as they are.
        requires_grad: whether `backward` should leave a gradient in `grad`. Needs floating-point data.
        name: what pictures and messages call it.
        dtype: as in `numpy.array`.

    Raises:
        TypeError: `requires_grad` on data that is not real floating point.

    A plain array that meets a Tensor in a call may change afterwards: the call keeps a copy of what its
    gradient needs (of arrays above 64 MB a fingerprint, and `backward` raises if they have changed).

    >>> import numpy as np
    >>> w = Tensor([1.0, 2.0], requires_grad=True, name="w")
    >>> loss = np.sum(w * w)
    >>> loss
    Tensor(5.0, from=np.sum)
    >>> loss.backward()
    >>> w.grad
    Tensor([2., 4.])
    """

    __slots__ = ()

    if TYPE_CHECKING:  # what is known of it here

        @property
        def grad(self) -> "Tensor | None": ...  # noqa: D102
        @grad.setter
        def grad(self, gradient: Any) -> None: ...

    def __init__(self, data: Any, requires_grad: bool = False, name: str | None = None, dtype: Any = None):
        self._data = _own(data, dtype)
        self._grad = None
        self.node = None
        self.name = name
        self.keeps_grad = False
        self.hooks = ()
        self.cut = ""
        self.requires_grad = requires_grad

    # What it is

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this Tensor."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if not self.is_leaf:
            raise RuntimeError(
                "requires_grad of a computed Tensor follows from its inputs; use detach() to cut it off"
            )
        if wanted and not is_differentiable(self.dtype):
            raise TypeError(
                f"requires_grad needs floating-point data, and this is {self.dtype}; "
                "write floats (1.0 instead of 1), or give dtype=float"
            )
        self.node = LEAF if wanted else None

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded call made this Tensor."""
        return self.node is None or self.node is LEAF

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        shape: tuple[int, ...] = self._data.shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._data.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(self._data.size)

    @property
    def nbytes(self) -> int:
        """The memory that the elements take, in bytes."""
        return int(self._data.nbytes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements; it follows NumPy's promotion rules."""
        dtype: np.dtype[Any] = self._data.dtype
        return dtype

    @property
    def T(self) -> "Tensor":
        """The Tensor with its axes reversed."""
        return self.transpose()

    @property
    def mT(self) -> "Tensor":
        """The Tensor with its last two axes swapped."""
        return self.swapaxes(-1, -2)

    def __repr__(self) -> str:
        array = np.asarray(self.data)
        body = (
            np.array2string(array, separator=", ", prefix="Tensor(", threshold=200)
            if self.ndim
            else str(array)
        )
        details = [body]
        if self.dtype != np.float64:
            details.append(f"dtype={self.dtype}")
        if self.name is not None:
            details.append(f"name={self.name!r}")
        if self.node is LEAF:
            details.append("requires_grad=True")
        elif self.node is not None:
            details.append(f"from={function_name(self.node.fn)}")
        return f"Tensor({', '.join(details)})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Show a scalar result in a notebook as the graph of calls that made it, anything else as text."""
        if self.is_leaf or self.ndim:
            return {"text/plain": repr(self)}
        from .viz import mimebundle

        return mimebundle(self)

    # Gradients

    def backward(self, gradient: Any = None, create_graph: bool = False) -> None:
        """Add to the `grad` of every leaf this Tensor was computed from: its gradient, by the chain rule.

        Args:
            gradient: the gradient of the loss with respect to this Tensor, in its shape. May be left out for
                a scalar, where it is 1.
            create_graph: record the backward pass too, so that gradients can be differentiated again.

        Raises:
            RuntimeError: nothing it was computed from requires a gradient.
            ValueError: it is not a scalar and `gradient` is missing, or `gradient` has another shape.

        Gradients add up over calls, as in PyTorch; `zero_grad` (or an optimizer's ``apply``) clears them.

        >>> x = Tensor(3.0, requires_grad=True)
        >>> (x ** 2).backward(create_graph=True)
        >>> slope, x.grad = x.grad, None
        >>> slope.backward()
        >>> x.grad
        Tensor(2.0)
        """
        backward(self, gradient, create_graph)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def retain_grad(self) -> "Tensor":
        """Ask `backward` to leave the gradient of this computed Tensor in `grad` too.

        Raises:
            RuntimeError: it needs no gradient.
        """
        if self.node is None:
            raise RuntimeError("retain_grad needs a Tensor that requires a gradient; this one does not")
        self.keeps_grad = True
        return self

    def register_hook(self, hook: Callable[["Tensor"], Any]) -> Callable[[], None]:
        """Call `hook` with this Tensor's gradient on every backward pass; return a function that stops it.

        The gradient is complete, every path added. What the hook returns, if anything, goes on in its place.

        Raises:
            RuntimeError: this Tensor needs no gradient.

        >>> x = Tensor(3.0, requires_grad=True)
        >>> y = x * x
        >>> remove = y.register_hook(lambda gradient: gradient * 10)
        >>> y.backward()
        >>> x.grad
        Tensor(60.0)
        """
        if self.node is None:
            raise RuntimeError("a hook needs a Tensor that requires a gradient; this one does not")

        def remove() -> None:
            self.hooks = tuple(kept for kept in self.hooks if kept is not own)

        def own(gradient: "Tensor") -> Any:
            return hook(gradient)

        self.hooks += (own,)
        return remove

    def detach(self) -> "Tensor":
        """Return a Tensor of the same values through which no gradient flows; it shares memory."""
        detached: Tensor = make(self.data)
        detached.cut = "detached" if self.node is not None else self.cut
        return detached

    def assign(self, value: Any) -> "Tensor":
        """Give a leaf (a parameter) new values, in its own shape and dtype.

        Graphs recorded before keep the old values, so their gradients stay right.

        Raises:
            RuntimeError: it is no leaf, but the result of a recorded call.
            TypeError: the values have a mask, which would be lost.
            ValueError: the values have another shape.

        >>> w = Tensor([1.0, 2.0], requires_grad=True)
        >>> w.assign(w.data - 0.5)
        Tensor([0.5, 1.5], requires_grad=True)
        """
        if self.node is not None and self.node is not LEAF:
            raise RuntimeError("only a leaf can be assigned to; this Tensor is the result of a recorded call")
        ours = isinstance(value, Tensor) and not may_change(value.data)
        new = value.data if ours else _own(value.data if isinstance(value, Tensor) else value)
        if new.shape != self.shape:
            raise ValueError(f"assign needs values of shape {self.shape}, and got {new.shape}")
        self.data = new if new.dtype is self.dtype else _own(new, self.dtype)
        return self

    # Values

    def numpy(self) -> Any:
        """Return the values as a plain array: read-only, shared, with no gradient attached."""
        return np.asarray(self.data) if isinstance(self.data, np.generic) else self.data

    def copy(self) -> "Tensor":
        """Return a copy; gradients flow through it."""
        return +self

    def item(self, *index: Any) -> Any:
        """Return one element as a Python number, which no gradient follows.

        Raises:
            TypeError: it needs a gradient and is inside `grad`, `jvp`, ..., which would lose it.
        """
        number = self._values().item(*index)
        return remember(number) if self.node is not None and is_recording() else number

    def tolist(self) -> Any:
        """Return the values as nested Python lists.

        Raises:
            TypeError: as in `item`.
        """
        return self._values().tolist()

    def astype(self, dtype: Any) -> "Tensor":
        """Return the values converted to another type; gradients are converted back."""
        return _call(astype, (self, dtype))

    @classmethod
    def from_dlpack(cls, array: Any, requires_grad: bool = False, name: str | None = None) -> "Tensor":
        """Wrap an array of another library (PyTorch, JAX, CuPy, ...) without copying it.

        The memory is shared: the other library should not write to it while a gradient may need it.
        """
        view = np.from_dlpack(array).view()
        view.setflags(write=False)
        tensor: Tensor = make(view)
        tensor.name, tensor.requires_grad = name, requires_grad
        return tensor

    def __dlpack__(self, **how: Any) -> Any:
        return np.asarray(self._unconnected()).__dlpack__(**how)

    def __dlpack_device__(self) -> Any:
        return self.numpy().__dlpack_device__()

    def __buffer__(self, flags: int) -> memoryview:
        # of the array itself: asking NumPy for one would bring it back here, again and again
        return memoryview(self._unconnected())

    # its dtype is the widest on purpose: from Any, a type checker concludes that array @ Tensor is an array
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, np.dtype[np.generic]]:
        return np.array(self._unconnected(), dtype=dtype, copy=copy)

    def _unconnected(self) -> Any:
        """Return the array of a Tensor that needs no gradient; of one that does, it would lose it."""
        if self.node is not None:
            expression = expression_at(users_place()) or "turning a Tensor into a plain array"
            raise TypeError(
                f"{expression:.60} would drop the gradient of a Tensor that needs one; use "
                "np.stack([a, b]) or np.block([[a, b], [c, d]]) to join Tensors, x.at[index].set(t) to write "
                "one into an array, np.broadcast_to(t, shape) for np.full(shape, t), or t.detach() if no "
                "gradient should flow. (Other libraries' functions may take plain arrays inside; SciPy's "
                "softmax, log_softmax and logsumexp are in tinygrad_edu.special)"
            )
        return self.data

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise TypeError(
                "a computed Tensor cannot be pickled or deep-copied with its graph; use detach() first"
            )
        return Tensor, (self.data, self.requires_grad, self.name)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __int__(self) -> int:
        return int(self._values())

    def __float__(self) -> float:
        number = float(self._values())
        if self.node is None or not is_recording():
            return number
        warn_if_taken()
        return remember(number)

    def _values(self) -> Any:
        """Return the array to read numbers from; a function under a transform would lose their gradient."""
        if self.node is not None and inside_transform():
            raise TypeError(
                "turning a Tensor into a Python number inside grad, jvp, ... would drop its gradient; use "
                "NumPy's functions (np.sin, not math.sin), np.stack([a, b]) instead of out[0] = a; or "
                "x.detach() if no gradient should flow"
            )
        return self.data

    def __index__(self) -> int:
        index: int = self.data.__index__()
        return index

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if self.ndim == 0 else format(repr(self), spec)

    # NumPy's protocols, and ours for functions that are one call (see `rules.primitive`)

    __primitive__ = staticmethod(apply)

    def __opaque__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
        trace = current_trace()
        if trace is None:
            return fn(*args, **kwargs)
        raise trace.refusal(
            f"an opaque function of a Tensor ({function_name(fn)})",
            "put  @tg.primitive(lambda g, y, x: ...)  above its  @tg.opaque,  or give it x.detach().data",
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            raise _no_out(ufunc)
        if method == "__call__":
            return apply(ufunc, _cast(inputs, kwargs), kwargs) if kwargs else apply(ufunc, inputs)
        if method == "outer":
            a, b = inputs
            return ufunc(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b, **kwargs)
        fn = _METHODS.get((ufunc, method))
        if fn is not None:
            return apply(fn, inputs, {"axis": 0, **kwargs})
        if any(t.node is not None for t in tensors_in(inputs)):
            raise NoGradientRule(
                f"np.{ufunc.__name__}.{method} has no gradient rule; write it with other functions"
            )
        return apply(getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if kwargs.get("out") is not None or _is_out(func, args):
            raise _no_out(func)
        return apply(func, args, kwargs)

    # Shapes and reductions

    def reshape(self, *shape: Any, order: str = "C") -> "Tensor":
        """Return the elements in another shape, as `numpy.reshape`."""
        new = shape[0] if len(shape) == 1 else shape
        return _call(np.reshape, (self, new), {} if order == "C" else {"order": order})

    def transpose(self, *axes: Any) -> "Tensor":
        """Return the Tensor with its axes permuted, as `numpy.transpose`."""
        order = axes[0] if len(axes) == 1 else axes or None
        return _call(np.transpose, (self, order))

    def swapaxes(self, axis1: int, axis2: int) -> "Tensor":
        """Return the Tensor with two axes swapped."""
        return _call(np.swapaxes, (self, axis1, axis2))

    def ravel(self, order: str = "C") -> "Tensor":
        """Return the elements in one axis, as `numpy.ravel`."""
        return _call(np.ravel, (self, order))

    flatten = ravel

    def squeeze(self, axis: Any = None) -> "Tensor":
        """Return the Tensor without its axes of length one."""
        return _call(np.squeeze, (self, axis))

    def repeat(self, repeats: Any, axis: int | None = None) -> "Tensor":
        """Repeat elements, as `numpy.repeat`."""
        return _call(np.repeat, (self, repeats, axis))

    def sum(self, axis: Any = None, **kwargs: Any) -> "Tensor":
        """Sum over the given axes, as `numpy.sum`."""
        return _call(np.sum, (self, axis), kwargs)

    def mean(self, axis: Any = None, **kwargs: Any) -> "Tensor":
        """Average over the given axes, as `numpy.mean`."""
        return _call(np.mean, (self, axis), kwargs)

    def var(self, axis: Any = None, **kwargs: Any) -> "Tensor":
        """Variance over the given axes, as `numpy.var`."""
        return _call(np.var, (self, axis), kwargs)

    def std(self, axis: Any = None, **kwargs: Any) -> "Tensor":
        """Standard deviation over the given axes, as `numpy.std`."""
        return _call(np.std, (self, axis), kwargs)

    def prod(self, axis: Any = None, **kwargs: Any) -> "Tensor":
        """Product over the given axes, as `numpy.prod`."""
        return _call(np.prod, (self, axis), kwargs)

    def max(self, axis: Any = None, **kwargs: Any) -> "Tensor":
        """Maximum over the given axes; ties share the gradient equally."""
        return _call(np.max, (self, axis), kwargs)

    def min(self, axis: Any = None, **kwargs: Any) -> "Tensor":
        """Minimum over the given axes; ties share the gradient equally."""
        return _call(np.min, (self, axis), kwargs)

    def argmax(self, axis: Any = None, **kwargs: Any) -> "Tensor":
        """Index of the maximum, as `numpy.argmax`; no gradient."""
        return _call(np.argmax, (self, axis), kwargs)

    def argmin(self, axis: Any = None, **kwargs: Any) -> "Tensor":
        """Index of the minimum, as `numpy.argmin`; no gradient."""
        return _call(np.argmin, (self, axis), kwargs)

    def cumsum(self, axis: Any = None, **kwargs: Any) -> "Tensor":
        """Running sum, as `numpy.cumsum`."""
        return _call(np.cumsum, (self, axis), kwargs)

    def clip(self, min: Any = None, max: Any = None) -> "Tensor":
        """Limit the values to an interval, as `numpy.clip`."""
        return _call(np.clip, (self, min, max))

    def round(self, decimals: int = 0) -> "Tensor":
        """Round to the given number of decimals; the gradient is zero."""
        return _call(np.round, (self, decimals))

    def __round__(self, decimals: int | None = None) -> "Tensor":
        return self.round(decimals or 0)

    def any(self, axis: Any = None, **kwargs: Any) -> "Tensor":
        """Tell whether any element is true."""
        return _call(np.any, (self, axis), kwargs)

    def all(self, axis: Any = None, **kwargs: Any) -> "Tensor":
        """Tell whether all elements are true."""
        return _call(np.all, (self, axis), kwargs)

    def dot(self, other: Any) -> "Tensor":
        """Dot product, as `numpy.dot`."""
        return _call(np.dot, (self, other))

    # Elements

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(self.data == (value.data if isinstance(value, Tensor) else value)))

    def __getitem__(self, index: Any) -> "Tensor":
        if isinstance(self._data, tuple):  # the results of a function that returns several
            places = range(len(self._data))[index]
            if isinstance(places, int):
                return _call(pick, (self, places))
            return tuple(_call(pick, (self, place)) for place in places)  # type: ignore[return-value]
        return _call(getitem, (self, index))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "a Tensor does not change, since recorded calls may still need its values; write  "
            "x = x.at[index].set(value),  or np.where(mask, value, x), or give a leaf new values with assign"
        )

    @property
    def at(self) -> "At":
        """Assignment as a function, as in JAX: ``x.at[i].set(v)``, ``.add(v)``, ``.multiply(v)``.

        Each returns a new Tensor, and gradients flow to both `x` and `v`.

        >>> Tensor([1.0, 2.0, 3.0]).at[1:].set(0.0)
        Tensor([1., 0., 0.])
        """
        return At(self)

    # Operators

    __hash__ = object.__hash__

    __add__, __radd__ = _binary(np.add)
    __sub__, __rsub__ = _binary(np.subtract)
    __mul__, __rmul__ = _binary(np.multiply)
    __truediv__, __rtruediv__ = _binary(np.divide)
    __matmul__, __rmatmul__ = _binary(np.matmul)
    __floordiv__, __rfloordiv__ = _binary(np.floor_divide)
    __mod__, __rmod__ = _binary(np.remainder)
    __divmod__, __rdivmod__ = _binary(np.divmod)
    __and__, __rand__ = _binary(np.bitwise_and)
    __or__, __ror__ = _binary(np.bitwise_or)
    __xor__, __rxor__ = _binary(np.bitwise_xor)
    __lshift__, __rlshift__ = _binary(np.left_shift)
    __rshift__, __rrshift__ = _binary(np.right_shift)
    __lt__, __gt__ = _binary(np.less)[0], _binary(np.greater)[0]
    __le__, __ge__ = _binary(np.less_equal)[0], _binary(np.greater_equal)[0]
    __eq__, __ne__ = _binary(np.equal)[0], _binary(np.not_equal)[0]  # type: ignore[assignment]
    __neg__, __pos__ = _unary(np.negative), _unary(np.positive)
    __abs__, __invert__ = _unary(np.absolute), _unary(np.invert)

    __iadd__, __isub__ = _in_place(np.add), _in_place(np.subtract)
    __imul__, __itruediv__ = _in_place(np.multiply), _in_place(np.divide)

    def __pow__(self, exponent: Any) -> "Tensor":
        short = _POWERS.get(exponent) if type(exponent) in (int, float) and self.dtype.kind == "f" else None
        return _call(short, (self,)) if short else _call(np.power, (self, exponent))

    def __rpow__(self, base: Any) -> "Tensor":
        return _call(np.power, (base, self))


results_are(Tensor)
