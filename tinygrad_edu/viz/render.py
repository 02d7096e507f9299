"""Finding and running Graphviz's ``dot``, which lays a picture out.

DOT text goes in and a picture comes out, through pipes: no file, no shell, and always a time limit.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

FORMATS = {".svg": "svg", ".png": "png", ".pdf": "pdf", ".dot": "dot", ".gv": "dot"}
VARIABLE = "TINYGRAD_EDU_DOT"
HOW_TO_GET_DOT = (
    'pip install "tinygrad-edu[viz]" brings one along (graphviz-pure); so does Graphviz itself: '
    "apt install graphviz, brew install graphviz, winget install graphviz"
)


class DotError(RuntimeError):
    """Raised when a picture cannot be laid out: no ``dot``, it failed, or it took too long."""


def find_dot(dot: str | os.PathLike[str] | None = None) -> str:
    """Return the path of a ``dot`` program.

    The first of: the argument, the environment variable TINYGRAD_EDU_DOT, ``dot`` on the PATH,
    ``graphviz-pure`` on the PATH or beside the running Python.

    Raises:
        DotError: there is none, or the one asked for does not exist.
    """
    for asked, origin in ((dot, "dot="), (os.environ.get(VARIABLE), VARIABLE)):
        if asked:
            found = shutil.which(asked)
            if found is None:
                raise DotError(f"{origin} names {os.fspath(asked)!r}, and there is no such program")
            return found
    beside = os.pathsep.join(
        dict.fromkeys([os.path.dirname(sys.executable), os.path.join(sys.prefix, "bin")])
    )
    found = shutil.which("dot") or shutil.which("graphviz-pure") or shutil.which("graphviz-pure", path=beside)
    if found is None:
        raise DotError(
            f"a picture needs Graphviz's dot, and none was found: {HOW_TO_GET_DOT}. "
            "The picture's DOT text is in its .source, and viz.text(loss) needs no dot"
        )
    return found


def run_dot(
    source: str, format: str, dot: str | os.PathLike[str] | None = None, timeout: float = 20.0
) -> bytes:
    """Lay out DOT text and return the picture's bytes.

    Args:
        source: DOT text.
        format: what dot calls the format: ``svg``, ``png``, ``pdf``, ...
        dot: the program to run; see `find_dot`.
        timeout: seconds before giving up.

    Raises:
        DotError: no dot was found, it failed (with what it said), or it took longer than `timeout`.
    """
    program = find_dot(dot)
    try:
        done = subprocess.run(
            [program, f"-T{format}"], input=source.encode(), capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise DotError(
            f"{program} took longer than {timeout:g} seconds to lay the picture out; "
            'draw with level="brief" or a smaller limit=, give a longer timeout=, or print viz.text(loss)'
        ) from None
    except OSError as error:
        raise DotError(f"{program} could not be run: {error}") from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise DotError(f"{program} could not make {format} of the picture (exit {done.returncode}): {said}")
    return done.stdout


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the format that a file name asks for by its suffix.

    Raises:
        ValueError: the suffix is none of .svg, .png, .pdf, .dot and .gv.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"a picture's file name ends in {', '.join(FORMATS)}, and this one in {suffix!r}")
    return FORMATS[suffix]
