"""`Nested`: layers as parts of each other: their names and paths, their seeds, and their weights.

The one idea: nobody registers anything. The Tensors and layers among the attributes of a layer, in lists and
dicts too, are its parts, and are looked for there.
"""

import functools
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..containers import leaves, opens
from ..declared import Note, Versioned
from ..recording import LEAF
from ..tensor import Tensor
from .config import Configured
from .lookup import free_name
from .saved import fitting, read_arrays


class Nested(Versioned, Configured):
    """A tree of layers: each with a name, a place in another one, weights, and a source of random numbers."""

    name: str
    built, named, generator = Note(), Note(), Note()
    _path = Note()  # None: it is not inside another layer
    _frozen = Note()  # what thawing gives its gradients back to; None: not frozen
    _drawn = Note()  # weights, and how to draw them again; see `_take_seed`
    _makes_weights = False  # whether there is something to build

    def _parts(self) -> list[tuple[str, Any]]:
        """List the Tensors and layers among its attributes, with the names of these."""
        found: list[tuple[str, Any]] = []
        for name, value in list(vars(self).items()):  # which another thread may be building
            kind: Any = type(value)
            role = _role(kind)
            if role == "part" and name not in self.notes:
                found.append((name, value))
            elif role == "container" and name not in self.notes:
                found += ((name, part) for part in leaves(value) if isinstance(part, PARTS))
        return found

    def _inner(self) -> list[Any]:
        """List the layers among its attributes, each once."""
        return list({id(part): part for _, part in self._parts() if isinstance(part, Nested)}.values())

    # Names and seeds

    @property
    def path(self) -> str:
        """Its name after those of the layers around it, such as ``block_1/dense``.

        >>> from tinygrad_edu.nn import Dense, Sequential
        >>> model = Sequential([Sequential([Dense(2), Dense(2)], name="encoder"), Dense(1)])
        >>> model.layers[0].layers[1].path, model.layers[1].path
        ('encoder/dense_1', 'dense')
        """
        return self._path or self.name

    def _prefix(self) -> str:
        """Return what the paths of layers inside begin with."""
        return self.path + "/"

    def _named_inner(self) -> list[tuple[str, Any]]:
        """List the layers inside with names that tell them apart: dense, dense_1, dense_2, ...

        Raises:
            ValueError: two of them were given the same name.
        """
        return list(self._names_after({}, {}, self._inner()).items())

    def _names_after(self, named: dict[str, Any], last: dict[str, int], layers: list[Any]) -> dict[str, Any]:
        """Add layers to those that have names; `last` is as in `free_name`."""
        for layer in layers:
            if layer.named and layer.name in named:
                raise ValueError(
                    f"there is a layer called {layer.name!r} in {self.name!r} already; choose another name"
                )
            name = layer.name if layer.named else free_name(default_name(type(layer)), named, last)
            named[name] = layer
        return named

    def _place_inner(self, depth: int = 1) -> None:
        """Give the layers inside their names and paths, and random numbers from the seed of this one.

        Raises:
            ValueError: they are nested deeper than Python can call them.
        """
        for name, layer in self._named_inner():
            self._place_one(name, layer, depth)

    def _place_one(self, name: str, layer: Any, depth: int = 1) -> None:
        deepest = sys.getrecursionlimit() // FRAMES
        if depth > deepest:
            raise ValueError(
                f"layers are nested more than {deepest} deep, or one is inside itself; Python's recursion "
                f"limit, {sys.getrecursionlimit()}, allows no more; put them side by side in one Sequential, "
                "or raise the limit with sys.setrecursionlimit"
            )
        layer._place(name, self._prefix() + name)
        if layer.generator is None and self.generator is not None:
            layer._take_seed(self.generator.spawn(1)[0])
        layer._place_inner(depth + 1)

    def _place(self, name: str, path: str) -> None:
        """Take a name and a path, and give them to the weights, too."""
        before = self.path
        if (self.name, self._path) == (name, path):
            return
        self.name, self._path = name, path
        for _, part in self._parts():
            if isinstance(part, Tensor) and part.name is not None and part.name.startswith(f"{before}."):
                part.name = path + part.name[len(before) :]

    def _take_seed(self, generator: np.random.Generator) -> None:
        """Draw random numbers from here on; those of weights anew, unless these have changed since.

        A layer may have drawn its weights, from no seed, before it came into a model that has one.
        """
        self.generator = generator
        for weight, draw, drawn in self._drawn:
            if weight.data is drawn():
                weight.assign(draw(generator))
        self._drawn = []

    # Weights

    def ensure_built(self) -> None:
        """Make the weights now, if it is known of what shapes; a layer says how."""

    @property
    def ready(self) -> bool:
        """Whether all weights exist, those of layers inside too."""
        return next(self._unbuilt(), None) is None

    def _unbuilt(self) -> Iterator[Any]:
        """Go through the layers, this one and those inside, whose weights are still to be made."""
        if not self.built and self._makes_weights:
            yield self
        for layer in self._inner():
            yield from layer._unbuilt()

    @property
    def parameters(self) -> list[Tensor]:
        """The Tensors among its attributes, in lists and dicts too, and those of layers there, each once.

        Raises:
            RuntimeError: weights are still to be made, here or in a layer inside.
        """
        self.ensure_built()
        self._place_inner()  # what was added since
        for layer in self._unbuilt():
            layer.ensure_built()
            if not layer.built:
                raise RuntimeError(
                    f"layer {layer.path!r} has no parameters before it is built; give it input_dim=, or call "
                    f"it (or what it is part of) on an input first"
                )
        return self.weights_so_far()

    @property
    def trainable_parameters(self) -> list[Tensor]:
        """Those of `parameters` that training moves."""
        return [weight for weight in self.parameters if weight.requires_grad]

    @property
    def non_trainable_parameters(self) -> list[Tensor]:
        """Those of `parameters` that training leaves alone: frozen ones, and what `call` changes itself."""
        return [weight for weight in self.parameters if not weight.requires_grad]

    def count_params(self) -> int:
        """Count the numbers that its weights hold.

        >>> from tinygrad_edu.nn import Dense
        >>> Dense(10, input_dim=784).count_params()
        7850
        """
        return sum(param.size for param in self.parameters)

    def weights_so_far(self) -> list[Tensor]:
        """List the weights that exist, those of layers inside too, each once."""
        found: dict[int, Tensor] = {}
        self._collect(found)
        return list(found.values())

    def _collect(self, found: dict[int, Tensor]) -> None:
        for _, part in self._parts():
            if isinstance(part, Nested):
                part._collect(found)
            elif part.is_leaf:
                found[id(part)] = part

    def named_weights(self) -> dict[str, Tensor]:
        """Return the weights that exist by their paths from here, each once.

        >>> from tinygrad_edu.nn import Dense, Sequential
        >>> list(Sequential([Sequential([Dense(2, input_dim=3)], name="encoder")]).named_weights())
        ['encoder/dense.W', 'encoder/dense.b']
        """
        named: dict[str, Tensor] = {}
        last: dict[str, int] = {}
        for attribute, part in self._parts():
            if isinstance(part, Tensor) and part.is_leaf:
                named[free_name((part.name or attribute).rpartition(".")[2], named, last)] = part
        for name, layer in self._named_inner():
            inner = layer.named_weights()
            named |= {f"{name}{'/' if '.' in path else '.'}{path}": weight for path, weight in inner.items()}
        once = {id(weight): path for path, weight in reversed(named.items())}
        return {path: weight for path, weight in named.items() if once[id(weight)] == path}

    @property
    def trainable(self) -> bool:
        """Whether training moves its weights; ``layer.trainable = False`` freezes them, as in Keras.

        >>> from tinygrad_edu.nn import Dense
        >>> layer = Dense(1, input_dim=2)
        >>> layer.trainable = False
        >>> [param.requires_grad for param in layer.parameters]
        [False, False]
        """
        return self._frozen is None

    @trainable.setter
    def trainable(self, wanted: bool) -> None:
        frozen = self._frozen or []
        for param in frozen if wanted else ():
            param.requires_grad = True
        for _, part in self._parts():
            if isinstance(part, Nested):
                part.trainable = wanted
            elif not wanted and part.node is LEAF:
                part.requires_grad = False
                frozen.append(part)
        self._frozen = None if wanted else frozen

    # Weights as arrays, and in files

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for param in self.weights_so_far():
            param.grad = None

    def get_weights(self) -> list[Any]:
        """Return copies of the values of all parameters, layer by layer."""
        return [np.array(param.data) for param in self.parameters]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Give all parameters new values, in the order of `get_weights`. On an error nothing is changed.

        Raises:
            TypeError: the values of one are no numbers, or have a mask.
            ValueError: another number of them, other shapes, or numbers too large for the dtype.
        """
        parameters, weights = self.parameters, list(weights)
        shapes = [param.shape for param in parameters]
        given = [np.shape(values) for values in weights]
        if shapes != given:
            raise ValueError(f"this has weights of shapes {shapes}, and those given have {given}")
        named = [param.name or f"weight {i}" for i, param in enumerate(parameters)]
        new = [fitting(*three) for three in zip(weights, parameters, named, strict=True)]
        for param, values in zip(parameters, new, strict=True):
            param.assign(values)

    def save_weights(self, path: str | Path) -> None:
        """Write all parameters to an ``.npz`` file, by their paths from here (see `named_weights`).

        Raises:
            ValueError: the path ends in something else.
            RuntimeError: weights are still to be made.
        """
        file = _npz(path)
        self.parameters  # noqa: B018  (raises where some do not exist yet)
        np.savez(
            file, allow_pickle=False, **{name: weight.data for name, weight in self.named_weights().items()}
        )

    def load_weights(self, path: str | Path) -> None:
        """Read all parameters from a file that `save_weights` wrote. On an error nothing is changed.

        Nothing in the file is run, and no more is read than the model has room for.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged, or holds other parameters, shapes or types than the model has.
            RuntimeError: weights are still to be made.
        """
        file, parameters, named = _npz(path), self.parameters, self.named_weights()
        saved = read_arrays(file, named)
        paths = {id(weight): name for name, weight in named.items()}
        try:
            self.set_weights([saved[paths[id(weight)]] for weight in parameters])
        except ValueError as error:
            raise ValueError(f"{file} does not fit: {error}") from error


PARTS = (Tensor, Nested)


@functools.lru_cache(1000)
def _role(kind: Any) -> str:
    """Tell what an attribute of a type is to a layer; most are nothing, and this is asked in every step."""
    return "part" if issubclass(kind, PARTS) else "container" if opens(kind) else ""


FRAMES = 10  # how many calls of Python's a layer inside a layer may take, in copy.deepcopy as in `call`


def default_name(cls: type) -> str:
    """Return what a layer is called after its class: a ``ResidualBlock`` is a ``residual_block``."""
    return re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()


def _npz(path: str | Path) -> Path:
    """Return the path with ``.npz`` at its end."""
    path = Path(path)
    if path.suffix not in ("", ".npz"):
        raise ValueError(f"weights are kept in .npz files, and this path ends in {path.suffix}: {path}")
    return path.with_suffix(".npz")
