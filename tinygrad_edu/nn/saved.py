"""Reading weights from ``.npz`` files that may be damaged, or not what they seem.

An ``.npz`` file is a zip archive of ``.npy`` files, each a small header and then the numbers. The one idea:
sizes, types and names are compared with the model's before anything is decompressed, so that a file takes no
more memory than the model does; nothing in a file is ever run.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..recording import Recorded

HEADER = 10_000  # bytes: the largest header of an array that NumPy takes from strangers
NUMBERS = "biuf"  # the kinds of dtypes that weights may be given in


def read_arrays(path: Path, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Read one array for each of some weights, by name.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or holds other names, shapes or types than those of the weights.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
                if members.keys() != weights.keys() or len(archive.infolist()) != len(members):
                    raise Unfit(f"this has parameters {list(weights)}, and {path} holds {list(members)}")
                return {name: _array(path, name, archive, members[name], weights[name]) for name in weights}
        except (Unfit, MemoryError):
            raise
        except Exception as error:  # of the many that zipfile, zlib and NumPy's reader raise
            raise ValueError(
                f"{path} is damaged, or no .npz file of arrays ({type(error).__name__}: {error}); "
                "save the weights again"
            ) from error


class Unfit(ValueError):
    """The file is whole, and holds something else."""


def _array(path: Path, name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, weight: Any) -> Any:
    largest = np.dtype(np.longdouble).itemsize * weight.size + HEADER
    if info.file_size > largest:
        raise Unfit(
            f"{path}: {name} has {info.file_size} bytes, and the weight of shape {weight.shape} needs "
            f"no more than {largest}"
        )
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, by_columns, dtype = read(member, max_header_size=HEADER)
        if shape != weight.shape:
            raise Unfit(f"{path}: {name} has shape {shape}, and the weight has {weight.shape}")
        if dtype.kind not in NUMBERS:
            raise Unfit(f"{path}: {name} holds {dtype}, and weights are numbers")
        content = member.read(largest)  # to its end, where the checksum is compared
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")


def fitting(values: Any, weight: Any, name: str) -> Any:
    """Return values as a weight may be assigned them: its shape, its dtype, and nothing lost on the way.

    Raises:
        TypeError: the values are no numbers, or have a mask.
        ValueError: another shape, or numbers that the dtype of the weight cannot hold.
    """
    given = values.data if isinstance(values, Recorded) else values
    given = given if hasattr(given, "dtype") else np.asarray(given)
    if hasattr(given, "mask"):
        raise TypeError(f"the values given for {name} have a mask, which would be lost; fill it first")
    if given.dtype.kind not in NUMBERS:
        raise TypeError(f"weights are numbers, and those given for {name} are {given.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        held = given.astype(weight.dtype)
    if given.dtype != weight.dtype and isinstance(held, np.ndarray):
        lost = np.isfinite(given) & ~np.isfinite(held) if held.dtype.kind == "f" else held != given
        if np.any(lost):
            raise ValueError(
                f"{name} is {weight.dtype}, which cannot hold {given[lost].flat[0]}, one of the values given"
            )
    if type(held) is np.ndarray:
        held.setflags(write=False)  # so that nothing copies it again
    return held
