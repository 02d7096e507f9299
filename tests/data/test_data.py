"""The digits that ship, the IDX reader against damaged files, one-hot labels and batches."""

import gzip
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_edu.data import batches, mnist, one_hot, process_data, read_idx, write_idx
from tinygrad_edu.data.digits import FILES
from tinygrad_edu.data.idx import TYPES

# the digits that ship


def test_the_shipped_digits_are_mnist_scaled_to_brightness():
    (x_train, y_train), (x_test, y_test) = mnist(labels="integer")
    assert x_train.shape == (5000, 784)
    assert x_test.shape == (1000, 784)
    assert x_train.dtype == x_test.dtype == np.float32
    assert x_train.min() == x_test.min() == 0
    assert x_train.max() == x_test.max() == 1
    assert y_train.dtype == y_test.dtype == np.int64
    assert y_train[:5].tolist() == [5, 0, 4, 1, 9]  # MNIST's own order
    assert y_test[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(y_train).min() > 400  # every digit is there, in about equal number


def test_one_hot_labels_say_the_same_as_integers():
    (x, y), (x_test, y_test) = mnist()
    (_, digits), (_, test_digits) = mnist(labels="integer")
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.argmax(1), digits)
    np.testing.assert_array_equal(y.sum(1), np.ones(5000))
    np.testing.assert_array_equal(y_test.argmax(1), test_digits)
    for mine, theirs in zip(process_data(), (x, y, x_test, y_test), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_each_call_returns_arrays_of_its_own():
    x, *_ = process_data()
    x[:] = 7
    assert process_data()[0].max() == 1


def test_unknown_labels_are_refused():
    with pytest.raises(ValueError, match="labels='onehot'"):
        mnist(labels="onehot")


def test_importing_the_package_does_not_load_the_digits():
    code = "import sys, tinygrad_edu; sys.exit('tinygrad_edu.data.digits' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# the full set, from a folder


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in FILES:
        n = 6 if name.startswith("train") else 4
        shape = (n, 28, 28) if "images" in name else (n,)
        end = ".gz" if name.startswith("train") else ""
        write_idx(tmp_path / (name + end), rng.integers(0, 10, shape).astype(np.uint8))
    return tmp_path


def test_a_folder_of_idx_files_is_read(folder):
    (x_train, y_train), (x_test, y_test) = mnist(folder, labels="integer")
    assert x_train.shape == (6, 784)
    assert x_test.shape == (4, 784)
    images = read_idx(folder / "train-images-idx3-ubyte.gz")
    np.testing.assert_array_equal(np.round(x_train * 255).reshape(6, 28, 28), images)
    np.testing.assert_array_equal(y_test, read_idx(folder / "t10k-labels-idx1-ubyte"))
    assert y_train.shape == (6,)
    assert mnist(str(folder))[0][1].shape == (6, 10)


def test_a_missing_folder_or_file_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        mnist(tmp_path / "nowhere")
    (folder / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks t10k-images-idx3-ubyte \(each may end in \.gz\)"):
        mnist(folder)


def test_an_empty_folder_is_described(tmp_path):
    with pytest.raises(FileNotFoundError, match="it holds nothing"):
        mnist(tmp_path)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train-labels-idx1-ubyte.gz", np.zeros(5, np.uint8), "holds 6 images, and .* holds 5 labels"),
        (
            "train-images-idx3-ubyte.gz",
            np.zeros((6, 28), np.uint8),
            r"should hold uint8 of shape \(n, 28, 28\)",
        ),
        ("train-images-idx3-ubyte.gz", np.zeros((6, 28, 28), np.float32), "holds float32"),
        ("t10k-labels-idx1-ubyte", np.zeros((4, 1), np.uint8), r"shape \(n,\), and holds uint8 of \(4, 1\)"),
        ("t10k-labels-idx1-ubyte", np.full(4, 10, np.uint8), "digits 0 to 9, and holds 10"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(folder, name, array, message):
    write_idx(folder / name, array)
    with pytest.raises(ValueError, match=message):
        mnist(folder)


# the file format

TYPE_NAMES = [np.dtype(code).newbyteorder("=") for code in TYPES.values()]


@given(
    st.sampled_from(TYPE_NAMES).flatmap(lambda t: hnp.arrays(t, hnp.array_shapes(max_side=4))), st.booleans()
)
def test_what_was_written_is_read(tmp_path_factory, array, compressed):
    path = tmp_path_factory.mktemp("idx") / ("numbers.gz" if compressed else "numbers")
    write_idx(path, array)
    back = read_idx(path)
    assert back.dtype == array.dtype
    assert back.dtype.isnative
    np.testing.assert_array_equal(back, array)


def test_the_bytes_are_those_of_the_specification(tmp_path):
    write_idx(tmp_path / "a", np.array([[1, 258]], np.int16))
    assert (tmp_path / "a").read_bytes() == bytes([0, 0, 0x0B, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 1, 2])


def test_types_that_idx_lacks_are_refused(tmp_path):
    with pytest.raises(TypeError, match="IDX has no type int64"):
        write_idx(tmp_path / "a", np.arange(3))


GOOD = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a", b"", "not an IDX file"),
        ("a", b"<html>", "not an IDX file"),
        ("a", bytes([0, 1]) + GOOD[2:], "not an IDX file"),
        ("a", bytes([0, 0, 7]) + GOOD[3:], "a type among 0x08"),
        ("a", GOOD[:9], "header says 2 axes and ends after 9 bytes"),
        ("a", GOOD[:-1], r"cut short: its header promises shape \(2, 3\) of uint8, or 6 bytes, and 5 follow"),
        ("a", GOOD + b"x", "has bytes left over"),
        ("a", bytes([0, 0, 8, 70]) + bytes(280), "is damaged: its header says shape"),
        ("a.gz", GOOD, "named .gz and is not gzip data"),
        ("a.gz", gzip.compress(GOOD, mtime=0)[:-9], "damaged gzip data"),
        ("a.gz", gzip.compress(GOOD, mtime=0)[:-6] + b"\0" * 6, "damaged gzip data"),
        ("a.gz", gzip.compress(GOOD, mtime=0)[:10] + b"\xff" * 20, "damaged gzip data"),
        ("a", gzip.compress(GOOD, mtime=0)[:5], "damaged gzip data"),
    ],
)
def test_damaged_files_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "a")


def test_gzip_is_recognised_without_its_name(tmp_path):
    (tmp_path / "a").write_bytes(gzip.compress(GOOD, mtime=0))
    assert read_idx(tmp_path / "a").tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_small_file_may_not_grow_large(tmp_path):
    header = b"\0\0\x08\x01"
    bombs = {
        "much more than promised": header + (3).to_bytes(4, "big") + bytes(100_000_000),
        "promised, and more than allowed": header + (2**31).to_bytes(4, "big") + bytes(100_000_000),
        "no header": bytes([1]) * 100_000_000,
    }
    for name, content in bombs.items():
        path = tmp_path / name
        path.write_bytes(gzip.compress(content, 1))
        del content
        tracemalloc.start()
        with pytest.raises(ValueError, match=r"bytes left over|max_bytes is 1073741824|not an IDX file"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
        tracemalloc.stop()
    (tmp_path / "a").write_bytes(GOOD)
    with pytest.raises(
        ValueError, match=r"too large: .* or 6 bytes, and max_bytes is 5; give read_idx a larger"
    ):
        read_idx(tmp_path / "a", max_bytes=5)
    assert read_idx(tmp_path / "a", max_bytes=6).shape == (2, 3)


@given(st.data())
def test_a_corrupted_header_never_gives_other_numbers_silently(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("idx") / "a"
    position = data.draw(st.integers(0, 11))
    value = data.draw(st.integers(0, 255).filter(lambda byte: byte != GOOD[position]))
    path.write_bytes(GOOD[:position] + bytes([value]) + GOOD[position + 1 :])
    if (position, value) == (2, 9):  # int8 instead of uint8 is as valid
        assert read_idx(path).dtype == np.int8
        return
    with pytest.raises(ValueError) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


@given(st.binary(max_size=40), st.booleans())
def test_arbitrary_bytes_give_an_array_or_a_clear_error(tmp_path_factory, content, plausible):
    path = tmp_path_factory.mktemp("idx") / "a"
    path.write_bytes(b"\0\0\x08" + content if plausible else content)
    error, array = None, None
    try:
        array = read_idx(path)
    except ValueError as caught:
        error = str(caught)
    if error is None:
        assert plausible or content.startswith(b"\0\0")
        assert array.nbytes == len(path.read_bytes()) - 4 - 4 * array.ndim
    else:
        assert str(path) in error


# labels and batches


@given(hnp.arrays(np.int64, hnp.array_shapes(max_dims=3, max_side=4), elements=st.integers(0, 4)))
def test_one_hot_is_undone_by_argmax(labels):
    vectors = one_hot(labels, 5)
    assert vectors.shape == (*labels.shape, 5)
    np.testing.assert_array_equal(vectors.argmax(-1), labels)
    np.testing.assert_array_equal(vectors.sum(-1), np.ones(labels.shape))


def test_one_hot_refuses_what_is_no_label():
    with pytest.raises(ValueError, match="needs labels 0 to 2, and got 3"):
        one_hot([0, 3], 3)
    with pytest.raises(ValueError, match="and got -1"):
        one_hot([0, -1], 3)
    with pytest.raises(TypeError, match="these are float64"):
        one_hot([0.0, 1.0], 3)
    assert one_hot([], 3).shape == (0, 3)


@given(st.integers(0, 20), st.integers(1, 25), st.integers(0, 3))
def test_an_epoch_visits_every_example_once(n, batch_size, seed):
    x, y = np.arange(n), np.arange(n) * 10
    epoch = list(batches(x, y, batch_size, seed=seed))
    assert [len(part) for part, _ in epoch[:-1]] == [batch_size] * (len(epoch) - 1)
    seen = [int(i) for part, _ in epoch for i in part]
    assert sorted(seen) == list(range(n))
    assert [int(i) for _, part in epoch for i in part] == [10 * i for i in seen]


def test_shuffling_follows_the_seed():
    x = np.arange(100)

    def order(seed, **how):
        return np.concatenate([part for part, _ in batches(x, x, 7, seed=seed, **how)]).tolist()

    assert order(1) == order(1) != order(2)
    assert order(1, shuffle=False) == x.tolist()
    shared = np.random.default_rng(1)
    first, second = order(shared), order(shared)
    assert first == order(1) != second


def test_batches_refuse_what_does_not_fit_at_once():
    with pytest.raises(ValueError, match="got 3 examples and 2 labels"):
        batches(np.zeros(3), np.zeros(2), 2)
    with pytest.raises(ValueError, match="batch_size of at least 1, and got 0"):
        batches(np.zeros(3), np.zeros(3), 0)
