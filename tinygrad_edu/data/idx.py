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


def read_idx(path: str | Path) -> Any:
    """Read an array from an IDX file, compressed with gzip (``.gz``) or not.

    Returns:
        an array of the shape and the type that the file says, in this machine's byte order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not IDX, or is damaged; the message says where.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "numbers-idx2-ubyte.gz")
    ...     write_idx(path, np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8))
    ...     read_idx(path)
    array([[1, 2, 3],
           [4, 5, 6]], dtype=uint8)
    """
    path = Path(path)
    content = _content(path)
    dtype, shape, start = _header(path, content)
    expected = math.prod(shape) * dtype.itemsize
    if len(content) - start != expected:
        problem = "is cut short" if len(content) - start < expected else "has bytes left over"
        raise ValueError(
            f"{path} {problem}: its header promises shape {shape} of {dtype.name}, or {expected} bytes, "
            f"and {len(content) - start} follow"
        )
    numbers = np.frombuffer(content, dtype, offset=start).astype(dtype.newbyteorder("="))
    try:
        return numbers.reshape(shape)
    except ValueError as error:  # more axes than an array may have, or an empty array of absurd lengths
        raise ValueError(f"{path} is damaged: its header says shape {shape} ({error})") from error


def _content(path: Path) -> bytes:
    """Read a file, and decompress it where it is gzip."""
    raw = path.read_bytes()
    if not raw.startswith(GZIP_START):
        if path.suffix == ".gz":
            raise ValueError(
                f"{path} is named .gz and is not gzip data (it starts with {raw[:4]!r}); if it was "
                f"decompressed already, rename it to {path.stem}, otherwise download it again"
            )
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is damaged gzip data ({error}); download it again") from error


def _header(path: Path, content: bytes) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Read the type, the shape, and where the numbers start."""
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in TYPES:
        raise ValueError(
            f"{path} is not an IDX file: it starts with {content[:4]!r}, and IDX starts with two zero bytes, "
            f"a type among {', '.join(f'0x{code:02x}' for code in TYPES)}, and the number of axes"
        )
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(
            f"{path} is cut short: its header says {content[3]} axes and ends after {len(content)} bytes"
        )
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], ">u4"))
    return np.dtype(TYPES[content[2]]), shape, start


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
