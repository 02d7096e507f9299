"""`Picture`: a `graphviz.Digraph` that our own runner lays out, and that can save and show itself."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import graphviz

from .render import DotError, format_of, run_dot


class Picture(graphviz.Digraph):  # type: ignore[misc]  # graphviz ships no types
    """A drawn graph: its DOT text in ``source``, and ways to turn that into a picture.

    Args:
        dot: the program that lays it out; see `tinygrad_edu.viz.render.find_dot`.
        timeout: seconds that the program may take.
        options: what `graphviz.Digraph` takes.

    Notebooks show it by themselves. Every way out (``svg``, ``png``, ``write``, ``pipe``, ``render`` and
    ``view``) goes through `run_dot`: pipes, no shell, and a time limit.
    """

    def __init__(
        self,
        name: str | None = "tinygrad_edu",
        *args: Any,
        dot: str | os.PathLike[str] | None = None,
        timeout: float = 20.0,
        **options: Any,
    ):
        super().__init__(name, *args, **options)
        self.dot = dot
        self.timeout = timeout

    def copy(self) -> "Picture":
        """Return a copy, to be changed on its own."""
        fresh: Picture = super().copy()
        fresh.dot, fresh.timeout = self.dot, self.timeout
        return fresh

    @property
    def svg(self) -> str:
        """The picture as SVG text."""
        return run_dot(self.source, "svg", self.dot, self.timeout).decode()

    @property
    def png(self) -> bytes:
        """The picture as a PNG file's bytes."""
        return run_dot(self.source, "png", self.dot, self.timeout)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file whose suffix says how: .svg, .png, .pdf, or .dot and .gv for its text.

        The file appears whole or not at all.

        Raises:
            ValueError: another suffix.
            DotError: no program to lay it out, or it failed.
        """
        format = format_of(path)
        whole = self.source.encode() if format == "dot" else self.pipe(format)
        return _write_whole(Path(path), whole)

    def pipe(self, format: str | None = None, *args: Any, encoding: str | None = None, **kwargs: Any) -> Any:
        """Return the picture's bytes in a format of dot's, or text if an `encoding` is given."""
        _refuse("pipe", args, kwargs)
        data = run_dot(self.source, format or self.format, self.dot, self.timeout)
        return data.decode(encoding) if encoding else data

    def render(
        self,
        filename: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        view: bool = False,
        cleanup: bool = False,
        format: str | None = None,
        *args: Any,
        outfile: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> str:
        """Write the DOT text and the picture beside it, as `graphviz.Digraph.render`; return the path."""
        _refuse("render", args, kwargs)
        target = Path(outfile) if outfile is not None else None
        format = format or (format_of(target) if target is not None else self.format)
        if target is None:
            text = Path(directory or self.directory or "", filename or self.filename)
            target = text.with_name(f"{text.name}.{format}")
        else:
            text = Path(directory or "", filename) if filename else target.with_suffix(".gv")
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(target, self.pipe(format))
        if not cleanup:
            _write_whole(text, self.source.encode())
        if view:
            graphviz.view(os.fspath(target))
        return os.fspath(target)

    def view(self, filename: Any = None, directory: Any = None, cleanup: bool = False, **kwargs: Any) -> str:
        """Render the picture and open it in the system's viewer."""
        _refuse("view", (), kwargs)
        return self.render(filename, directory, view=True, cleanup=cleanup)

    def _repr_mimebundle_(
        self, include: Sequence[str] | None = None, exclude: Sequence[str] | None = None, **_: Any
    ) -> dict[str, str]:
        """Show SVG in a notebook, or say what is missing for it."""
        try:
            bundle = {"image/svg+xml": self.svg, "text/plain": repr(self)}
        except DotError as error:
            bundle = {"text/plain": f"{self!r}: {error}"}
        kept = [kind for kind in bundle if not include or kind in include]
        return {kind: bundle[kind] for kind in kept if not exclude or kind not in exclude}

    def __repr__(self) -> str:
        return f"<Picture of {len(self.body)} lines of DOT; .svg, .png, .write('graph.svg')>"


def _refuse(method: str, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    if args or kwargs:
        names = ", ".join([*map(repr, args), *kwargs])
        raise TypeError(
            f"Picture.{method} does not take {names}: it runs dot through tinygrad_edu.viz.render"
        )


def _write_whole(path: Path, data: bytes) -> Path:
    """Write to a new file beside the target, then put it in place: no reader ever sees half a file."""
    handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=".picture-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(fresh, 0o644)
        os.replace(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise
    return path
