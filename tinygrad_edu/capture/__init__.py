"""Capture: from recorded calls to one straight-line NumPy program. Start reading with `trace`, end with `jit`."""

from .jit import Jitted, jit
from .trace import CaptureError

__all__ = ["CaptureError", "Jitted", "jit"]
