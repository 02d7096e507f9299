"""Capture: from recorded calls to one straight-line NumPy program.

Read in the order of what happens: `traced` takes the place of arrays, `trace` writes calls down, and the
`passes` make a `program` of them: `simplify`, `pack`, `flatten` and `loops` make them fewer, `housing`,
`homes` and `memory` say where results are kept, `chunks` keeps long ones in the cache. `emit` and
`emit_loops` write the source, `driver` reads and changes the world around it, `guards` know whether that is
as it was, and `jit` is what users call. What all of them know of NumPy's functions stands in `facts`.
"""

from .jit import Jitted
from .traced import CaptureError

__all__ = ["CaptureError", "Jitted"]
