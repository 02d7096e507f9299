"""`Changing`: objects that count their changes, so that a captured program notices when they are others.

A captured program was made by running layers and an optimizer as they were then. Looking at all of their
attributes before every step would take as long as the step; looking at one count does not.
"""

from typing import Any, ClassVar

from ..recording import current_trace

PLAIN = (bool, int, float, str, type(None))


class Changing:
    """The base of layers and optimizers. `live` names attributes that are read anew on every call anyway."""

    live: ClassVar[tuple[str, ...]] = ()

    changes: int

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name not in self.live:
            self.changed()

    def changed(self) -> None:
        """Count a change that no attribute shows, such as one in a list."""
        vars(self)["changes"] = vars(self).get("changes", 0) + 1

    def settle(self, before: int) -> None:
        """Say to a capture, where there is one, that what was computed depends on the attributes.

        `before` is what `changes` was before it was computed: the program would not change attributes again.
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
        """Return the attributes that decide what is computed: numbers, names, functions, layers."""
        return {
            name: value
            for name, value in vars(self).items()
            if name not in ("changes", *self.live)
            and (type(value) in PLAIN or callable(value) or isinstance(value, Changing))
        }
