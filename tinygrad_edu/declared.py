"""Declared: what a layer or an optimizer computes with, said beside its definition.

A captured program was made by running layers and an optimizer as they were then. Their attributes are of
three kinds, and so is what happens to the program when one of them is changed:

- a `Number`, such as a momentum, is read anew on each call;
- a `Note`, such as a history, is about what happened, and nothing computed depends on it;
- any other attribute is a setting: a changed one takes another program.
"""

from typing import TYPE_CHECKING, Any, ClassVar

from .recording import Recorded
from .state import current_state, current_trace

NUMBERS = (int, float)
PLAIN = frozenset({*NUMBERS, bool, str, type(None)})


class Number:
    """Declares an attribute that is a number, which a program reads anew on each call.

    >>> class Noise(Versioned):
    ...     level = Number()
    ...     def __init__(self, level):
    ...         self.level = level
    >>> noise = Noise(0.5)
    >>> noise.level
    0.5
    """

    name: str

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        if owner is None:
            return self
        if current_state().trace is None:  # what `number` does, faster
            try:
                return owner.__dict__[self.name]
            except KeyError:
                pass
        return number(owner, self.name)

    def __set__(self, owner: Any, value: Any) -> None:
        trace = current_trace()
        if trace is not None and self.name in vars(owner):
            raise trace.refusal(
                f"changing {self.name!r} of a {type(owner).__name__}", "change it outside the function"
            )
        vars(owner)[self.name] = self.checked(value)

    def checked(self, value: Any) -> Any:
        """Return the value to keep, or refuse it."""
        return value


class Note:
    """Declares an attribute in which an object notes what happens to it: nothing computed depends on it.

    `start` is what it is before anything has been noted: the same for all objects.
    """

    name: str

    def __init__(self, start: Any = None):
        if start is not None and start.__hash__ is None:
            raise TypeError(f"all objects would share the start {start!r}; make it in __init__")
        self.start = start

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else self.start  # only asked where the object has no value of its own

    if TYPE_CHECKING:  # it has none, so that the value of an object's own is found first

        def __set__(self, owner: Any, value: Any) -> None: ...


def number(owner: Any, name: str) -> Any:
    """Return a number among an object's attributes; under capture, what stands for it in the program.

    What is no number, such as None or a schedule, is returned as it is: a setting.
    """
    try:
        value = vars(owner)[name]
    except KeyError:
        raise AttributeError(f"{type(owner).__name__} has no {name!r} yet; set it first") from None
    trace = current_trace()
    return value if trace is None or type(value) not in NUMBERS else trace.number(owner, name)


def advance(owner: Any, name: str) -> None:
    """Count one up a number among an object's attributes, as a program does on each call."""
    trace = current_trace()
    if trace is None:
        vars(owner)[name] += 1
    else:
        trace.advance(owner, name)


def advanced(owner: Any, name: str) -> int:
    """Return how often a number has been counted up so far under a capture."""
    trace = current_trace()
    return 0 if trace is None else trace.advanced(owner, name)


def is_setting(owner: Any, name: str) -> bool:
    """Tell whether what an object computes depends on an attribute as it is: it is no number, and no note."""
    declared = getattr(type(owner), name, None)
    if isinstance(declared, Number):
        return type(vars(owner).get(name)) not in NUMBERS
    return not is_note(owner, name)


def is_note(owner: Any, name: str) -> bool:
    """Tell whether an attribute is about what happened to an object."""
    return isinstance(owner, Versioned) and name in owner.notes


class Same:
    """Equals itself and what else stands for the very same object."""

    def __init__(self, value: Any):
        self.value = value

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value


class Versioned:
    """The base of layers and optimizers: counts in `changes` how often its attributes were changed.

    Looking at all attributes before every step would take as long as the step; looking at one count does not.
    """

    changes = Note(0)
    notes: ClassVar[frozenset[str]] = frozenset()  # the names of its notes

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        declared = {
            name for kind in cls.__mro__ for name, value in vars(kind).items() if isinstance(value, Note)
        }
        cls.notes = frozenset(declared)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name not in self.notes:
            self.changed()

    def changed(self) -> None:
        """Count a change that no attribute shows, such as one in a list."""
        vars(self)["changes"] = self.changes + 1

    def declare(self, before: int) -> None:
        """Say to a capture, where there is one, that what was computed depends on the settings.

        `before` is what `changes` was before it was computed: settings that changed since are refused, as a
        program would not change them again.
        """
        trace = current_trace()
        if trace is None:
            return
        if self.changes != before:
            raise trace.refusal(
                f"a {type(self).__name__} that changes its own attributes",
                "keep what changes in a Tensor, and change it with assign",
            )
        trace.fact(self.settings, self)

    def settings(self) -> dict[str, Any]:
        """Return the attributes that decide what is computed. Tensors are left out: they are read anew."""
        return {
            name: value if type(value) in PLAIN or callable(value) else Same(value)
            for name, value in vars(self).items()
            if is_setting(self, name) and not isinstance(value, Recorded)
        }
