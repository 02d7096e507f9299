"""`Changing`: objects that count their changes, so that a captured program notices when they are others.

A captured program was made by running layers and an optimizer as they were then. Looking at all of their
attributes before every step would take as long as the step; looking at one count does not.
"""

from typing import Any, ClassVar

from ..recording import Recorded, current_trace

PLAIN = (bool, int, float, str, type(None))


class Same:
    """Equals itself and what else stands for the very same object."""

    def __init__(self, value: Any):
        self.value = value

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value


class Changing:
    """The base of layers and optimizers.

    `live` names attributes that are read anew on every call anyway; `books` those in which an object writes
    down for itself what happens to it.
    """

    live: ClassVar[tuple[str, ...]] = ()
    books: ClassVar[tuple[str, ...]] = ()

    changes: int

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name not in self.live and name not in self.books:
            self.changed()

    def changed(self) -> None:
        """Count a change that no attribute shows, such as one in a list."""
        vars(self)["changes"] = vars(self).get("changes", 0) + 1

    def settle(self, before: int) -> None:
        """Say to a capture, where there is one, that what was computed depends on the attributes.

        `before` is what `changes` was before it was computed.
        """
        trace = current_trace()
        if trace is None:
            return
        self.refuse_changes(trace, before)
        trace.fact(self.settings, self)

    def refuse_changes(self, trace: Any, before: int) -> None:
        """Raise an error if attributes were changed under capture: a program would not change them again."""
        if self.changes != before:
            raise trace.refusal(
                f"a {type(self).__name__} that changes its own attributes",
                "keep what changes in a Tensor, and change it with assign",
            )

    def settings(self) -> dict[str, Any]:
        """Return the attributes that decide what is computed. Tensors are left out: they are read anew."""
        return {
            name: value if type(value) in PLAIN or callable(value) else Same(value)
            for name, value in vars(self).items()
            if name not in ("changes", *self.live, *self.books) and not isinstance(value, Recorded)
        }
