"""The IDX file format, in which MNIST and its kin are distributed: a tiny header, then the numbers.

The header is two zero bytes, one byte for the type of the numbers, one for how many axes there are, and the
length of each axis as four bytes, highest byte first. Source: Y. LeCun, C. Cortes, C. Burges,
"The MNIST database of handwritten digits", http://yann.lecun.com/exdb/mnist/.
"""

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

# the byte that names the type, and the type as NumPy writes it (">" is highest byte first)
TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_START = b"\x1f\x8b"


def read_idx(path: str | Path, max_bytes: int = 2**30) -> Any:
    """Read an array from an IDX file, compressed with gzip (``.gz``) or not.

    Args:
        path: where it is.
        max_bytes: how many bytes of numbers it may hold; no more than that is decompressed.

    Returns:
        an array of the shape and the type that the file says, in this machine's byte order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not IDX, is damaged, or is too large; the message says where.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "numbers-idx2-ubyte.gz")
    ...     write_idx(path, np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8))
    ...     read_idx(path)
    array([[1, 2, 3],
           [4, 5, 6]], dtype=uint8)
    """
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start.startswith(GZIP_START):
            try:
                with gzip.open(file) as content:
                    return _array(path, content, max_bytes)
            except (EOFError, OSError, zlib.error) as error:
                raise ValueError(f"{path} is damaged gzip data ({error}); download it again") from error
        if path.suffix == ".gz":
            raise ValueError(
                f"{path} is named .gz and is not gzip data (it starts with {start!r}); if it was "
                f"decompressed already, rename it to {path.stem}, otherwise download it again"
            )
        return _array(path, file, max_bytes)


def _array(path: Path, content: Any, max_bytes: int) -> Any:
    """Read the header, and then as many numbers as it promises: a small file may decompress to gigabytes."""
    dtype, shape = _header(path, content)
    expected = math.prod(shape) * dtype.itemsize
    promise = f"its header promises shape {shape} of {dtype.name}, or {expected} bytes"
    if expected > max_bytes:
        raise ValueError(
            f"{path} is too large: {promise}, and max_bytes is {max_bytes}; give read_idx a larger "
            "max_bytes= if that is right"
        )
    numbers = content.read(expected)
    if len(numbers) < expected:
        raise ValueError(f"{path} is cut short: {promise}, and {len(numbers)} follow")
    if content.read(1):
        raise ValueError(f"{path} has bytes left over: {promise}, and more follow")
    try:
        return np.frombuffer(numbers, dtype).astype(dtype.newbyteorder("=")).reshape(shape)
    except ValueError as error:  # more axes than an array may have, or an empty array of absurd lengths
        raise ValueError(f"{path} is damaged: its header says shape {shape} ({error})") from error


def _header(path: Path, content: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Read the type and the shape."""
    start = content.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in TYPES:
        raise ValueError(
            f"{path} is not an IDX file: it starts with {start!r}, and IDX starts with two zero bytes, "
            f"a type among {', '.join(f'0x{code:02x}' for code in TYPES)}, and the number of axes"
        )
    lengths = content.read(4 * start[3])
    if len(lengths) < 4 * start[3]:
        raise ValueError(
            f"{path} is cut short: its header says {start[3]} axes and ends after {4 + len(lengths)} bytes"
        )
    return np.dtype(TYPES[start[2]]), tuple(int(n) for n in np.frombuffer(lengths, ">u4"))


def write_idx(path: str | Path, array: Any) -> None:
    """Write an array as an IDX file, compressed with gzip if the name ends in ``.gz``.

    Raises:
        TypeError: IDX has no such type; it has uint8, int8, int16, int32, float32 and float64.
    """
    values = np.asarray(array)
    code = next((code for code, dtype in TYPES.items() if np.dtype(dtype).name == values.dtype.name), None)
    if code is None:
        names = ", ".join(np.dtype(dtype).name for dtype in TYPES.values())
        raise TypeError(f"IDX has no type {values.dtype.name}; convert with astype to one of {names}")
    header = bytes([0, 0, code, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    content = header + values.astype(TYPES[code]).tobytes()
    Path(path).write_bytes(gzip.compress(content) if Path(path).suffix == ".gz" else content)
