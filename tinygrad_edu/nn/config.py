"""`Configured`: objects that remember what they were made with, to be shown, kept as data, and made anew.

The one idea: `__new__` sees the arguments before any `__init__` does, so that a class of one's own has a
`get_config`, a `from_config` and a `repr` without a line for them.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np

from ..declared import Note
from .activations import ACTIVATIONS


class Configured:
    """The base of what is made from settings: layers and initializers."""

    _given = Note()  # the arguments

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note the arguments, before any `__init__` does something with them."""
        made = super().__new__(cls)
        vars(made)["_given"] = args, kwargs
        return made

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that this was made with, by name and with their defaults, as plain data.

        Activations stand there by name, layers and initializers as ``{"class_name": ..., "config": ...}``.
        Attributes that were changed afterwards, and weights, are not in it.

        >>> from tinygrad_edu.nn import Dropout
        >>> Dropout(0.5, seed=1).get_config()
        {'rate': 0.5, 'name': None, 'seed': 1, 'dtype': 'float32'}
        """
        return self._config()

    def _config(self, **instead: Any) -> dict[str, Any]:
        """Do what `get_config` does, with other values for some arguments."""
        signature = _signature(type(self))
        args, kwargs = self._given
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        config: dict[str, Any] = {}
        for name, value in (bound.arguments | instead).items():
            kind = signature.parameters[name].kind if name in signature.parameters else None
            if kind is inspect.Parameter.VAR_KEYWORD:
                config |= plain(value)
            elif kind is not inspect.Parameter.VAR_POSITIONAL or value:
                config[name] = plain(value)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a new one from what `get_config` returned.

        >>> from tinygrad_edu.nn import Dense
        >>> Dense.from_config(Dense(3, "relu").get_config())
        Dense(units=3, activation='relu', name='dense')
        """
        values = {name: made_from(value) for name, value in config.items()}
        parameters = _signature(cls).parameters.values()
        several = next((p.name for p in parameters if p.kind is inspect.Parameter.VAR_POSITIONAL), None)
        if several not in values:
            return cls(**values)
        rest = values.pop(several)
        before = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        return cls(*(values.pop(name) for name in before), *rest, **values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._arguments())})"

    def _arguments(self) -> Iterator[str]:
        """Write the arguments as they were given, but for those that are the defaults anyway."""
        args, kwargs = vars(self).get("_given", ((), {}))
        yield from map(_shown, args)
        defaults = {p.name: p.default for p in _signature(type(self)).parameters.values()}
        for name, value in kwargs.items():
            if repr(plain(value)) != repr(plain(defaults.get(name, inspect.Parameter.empty))):
                yield f"{name}={_shown(value)}"


def plain(value: Any) -> Any:
    """Return a setting as plain data, as far as it has such a form; others stay as they are.

    >>> plain([np.tanh, np.float64, (1, 2)])
    ['tanh', 'float64', [1, 2]]
    """
    if isinstance(value, Configured):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, (np.generic, float))):
        return np.dtype(value).name
    return _name_of(value) or value


def made_from(data: Any) -> Any:
    """Return what `plain` was given, made anew: the way back.

    Raises:
        ValueError: a class that does not exist here; define or import it first.

    >>> made_from({"class_name": "HeNormal", "config": {"seed": 3}})
    HeNormal(seed=3)
    """
    if isinstance(data, list):
        return [made_from(item) for item in data]
    if not isinstance(data, dict):
        return data
    if data.keys() != {"class_name", "config"}:
        return {name: made_from(item) for name, item in data.items()}
    wanted = data["class_name"]
    named = [cls for cls in _classes(Configured) if cls.__name__ == wanted]
    if not named:
        raise ValueError(f"there is no class {wanted!r} here; define it, or import its module, first")
    return named[-1].from_config(data["config"])  # the newest, where a notebook defined it several times


def _classes(base: type[Configured]) -> Iterator[type[Configured]]:
    for cls in base.__subclasses__():
        yield cls
        yield from _classes(cls)


def _signature(cls: type) -> inspect.Signature:
    """Return what a class is called with."""
    init: Callable[..., Any] = cls.__init__  # type: ignore[misc]
    return inspect.Signature(list(inspect.signature(init).parameters.values())[1:])


def _name_of(value: Any) -> str | None:
    """Return the name of an activation."""
    return next((name for name, activation in ACTIVATIONS.items() if activation is value), None)


def _shown(value: Any) -> str:
    """Write an argument in a few words."""
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"<array of shape {value.shape}>"
    if callable(value) and not isinstance(value, Configured):
        return _name_of(value) or str(getattr(value, "__name__", repr(value)))
    return repr(value)
