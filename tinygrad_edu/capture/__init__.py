"""Capture: from recorded calls to one straight-line NumPy program.

Read in the order of what happens: `standin` takes the place of arrays, `trace` writes calls down,
`simplify`, `pack`, `flatten` and `loops` make them fewer, `memory` gives results their places, `chunks` keeps
long ones in the cache, `program` runs these passes, `emit` and `emit_loops` write the source, `driver` reads
and changes the world around it, `watch` knows whether that is as it was, and `jit` is what users call.
"""

from .jit import Jitted
from .standin import CaptureError

__all__ = ["CaptureError", "Jitted"]
