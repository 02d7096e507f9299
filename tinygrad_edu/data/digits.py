"""MNIST: images of handwritten digits, 28 pixels by 28, and which digit each is.

The first 5,000 training and 1,000 test digits ship with the package, so that nothing has to be downloaded.
The full 60,000 and 10,000 are read from a folder that holds the four original files.

MNIST: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits",
http://yann.lecun.com/exdb/mnist/; licence CC BY-SA 3.0.
"""

from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from .batching import one_hot
from .idx import read_idx

Labels: TypeAlias = Literal["one_hot", "integer"]

PIXELS = (28, 28)
CLASSES = 10
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def mnist(
    folder: str | Path | None = None, labels: Labels = "one_hot"
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Load MNIST's handwritten digits as ``(x_train, y_train), (x_test, y_test)``, as Keras's load_data does.

    Args:
        folder: where the four original IDX files are (``train-images-idx3-ubyte`` and so on, with ``.gz``
            or without), for all 60,000 training and 10,000 test digits. Left out, the first 5,000 and 1,000
            of them come, which ship with the package.
        labels: ``"one_hot"`` for float32 of shape (n, 10), ``"integer"`` for int64 of shape (n,).

    Returns:
        Images are float32 of shape (n, 784): brightness from 0 to 1, row after row.

    Raises:
        FileNotFoundError: the folder, or one of its files, is missing; the message says which.
        ValueError: a file is damaged or not what its name says, or `labels` is neither of the two.

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", CC BY-SA 3.0.

    >>> (x_train, y_train), (x_test, y_test) = mnist()
    >>> x_train.shape, y_train.shape, x_test.shape, y_test.shape
    ((5000, 784), (5000, 10), (1000, 784), (1000, 10))
    >>> y_train[0]
    array([0., 0., 0., 0., 0., 1., 0., 0., 0., 0.], dtype=float32)
    """
    if labels not in ("one_hot", "integer"):
        raise ValueError(f'mnist needs labels="one_hot" or labels="integer", and got labels={labels!r}')
    x_train, y_train, x_test, y_test = _shipped() if folder is None else _from_folder(Path(folder))
    return (_brightness(x_train), _targets(y_train, labels)), (_brightness(x_test), _targets(y_test, labels))


def process_data() -> tuple[Any, Any, Any, Any]:
    """Return ``x_train, y_train, x_test, y_test`` as the course's script asks for them.

    5,000 training and 1,000 test digits, one-hot: `mnist` with its pairs joined.

    >>> x_train, y_train, x_test, y_test = process_data()
    >>> x_test.shape, y_test.shape
    ((1000, 784), (1000, 10))
    """
    (x_train, y_train), (x_test, y_test) = mnist()
    return x_train, y_train, x_test, y_test


def _shipped() -> tuple[Any, Any, Any, Any]:
    """Read the digits that are part of the package."""
    with (
        resources.files(__package__).joinpath("mnist_6000.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        return arrays["x_train"], arrays["y_train"], arrays["x_test"], arrays["y_test"]


def _from_folder(folder: Path) -> tuple[Any, Any, Any, Any]:
    """Read the four IDX files, and check that they fit each other."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; mnist(folder) needs one with MNIST's files")
    paths = [_find(folder, name) for name in FILES]
    missing = [name for name, path in zip(FILES, paths, strict=True) if path is None]
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {', '.join(missing)} (each may end in .gz); it holds "
            f"{', '.join(sorted(path.name for path in folder.iterdir())[:8]) or 'nothing'}"
        )
    train_images, train_labels, test_images, test_labels = (path for path in paths if path is not None)
    return *_pair(train_images, train_labels), *_pair(test_images, test_labels)


def _find(folder: Path, name: str) -> Path | None:
    """Return the path of a file by its original name, with or without ``.gz``."""
    return next((path for path in (folder / name, folder / (name + ".gz")) if path.is_file()), None)


def _pair(images: Path, labels: Path) -> tuple[Any, Any]:
    """Read images and their labels, and check that they are."""
    x, y = read_idx(images), read_idx(labels)
    if x.dtype != np.uint8 or x.shape[1:] != PIXELS:
        raise ValueError(f"{images} should hold uint8 of shape (n, 28, 28), and holds {x.dtype} of {x.shape}")
    if y.dtype != np.uint8 or y.ndim != 1:
        raise ValueError(f"{labels} should hold uint8 of shape (n,), and holds {y.dtype} of {y.shape}")
    if len(x) != len(y):
        raise ValueError(f"{images} holds {len(x)} images, and {labels} holds {len(y)} labels")
    if np.any(y >= CLASSES):
        raise ValueError(f"{labels} should hold digits 0 to 9, and holds {y[y >= CLASSES][0]}")
    return x.reshape(len(x), -1), y


def _brightness(images: Any) -> Any:
    """Return bytes 0 to 255 as brightness from 0 to 1."""
    return images.astype(np.float32) / np.float32(255)


def _targets(digits: Any, labels: Labels) -> Any:
    return one_hot(digits, CLASSES) if labels == "one_hot" else digits.astype(np.int64)
