"""Weights from files: all of them or none, from damaged and hostile files too."""

import io
import pathlib
import tracemalloc
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinygrad_edu import nn


def model() -> nn.Sequential:
    return nn.Sequential([nn.Dense(3, "tanh", input_dim=4), nn.Dense(2)], seed=0)


def saved() -> dict[str, Any]:
    return {name: weight.numpy() + 1 for name, weight in model().named_weights().items()}


def assert_refused(path: pathlib.Path, message: str) -> None:
    """Check that a file is refused by its name, and changes nothing."""
    net = model()
    before = net.get_weights()
    with pytest.raises(ValueError, match=message) as caught:
        net.load_weights(path)
    assert str(path) in str(caught.value)
    assert all(map(np.array_equal, before, net.get_weights()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dense_1.b": np.ones(3)}, r"dense_1.b has shape \(3,\), and the weight has \(2,\)"),
        ({"dense_1.b": np.array(["a", "b"])}, "dense_1.b holds <U1, and weights are numbers"),
        ({"dense_1.b": np.ones(2) * 1j}, "dense_1.b holds complex128"),
        ({"dense_1.b": np.array([1, None])}, "dense_1.b holds object"),
        ({"dense_1.b": np.array([1.0, 1e300])}, "dense_1.b is float32, which cannot hold 1e"),
        ({"other": np.ones(2)}, "and .* holds"),
    ],
)
def test_a_file_that_does_not_fit_changes_nothing(tmp_path: Any, change: Any, message: str) -> None:
    np.savez(tmp_path / "w.npz", allow_pickle=True, **(saved() | change))
    assert_refused(tmp_path / "w.npz", message)


def test_set_weights_changes_all_or_nothing() -> None:
    net = model()
    before = net.get_weights()
    for last, error in (
        (np.array([1e300, 0]), ValueError),
        (np.array(["a", "b"]), TypeError),
        (np.ma.array([1.0, 2.0], mask=[True, False]), TypeError),
        (np.ones(3), ValueError),
    ):
        with pytest.raises(error):
            net.set_weights([*(w + 1 for w in before[:-1]), last])
        assert all(map(np.array_equal, before, net.get_weights()))
    net.set_weights(w.astype(float) + 1 for w in before)
    np.testing.assert_array_equal(net.get_weights()[0], before[0] + 1)


class Trap:
    """Notices when it is unpickled."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("a file was run",)


def test_nothing_in_a_file_is_run(tmp_path: Any) -> None:
    trap = np.array([Trap(), 1], object)
    np.savez(tmp_path / "w.npz", allow_pickle=True, **(saved() | {"dense_1.b": trap}))
    assert_refused(tmp_path / "w.npz", "holds object")


def test_a_file_takes_no_more_memory_than_the_model(tmp_path: Any) -> None:
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **(saved() | {"dense_1.b": np.zeros(20_000_000)}))
    (tmp_path / "w.npz").write_bytes(content.getvalue())
    header = b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + b" " * 50_000_000
    with zipfile.ZipFile(tmp_path / "h.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in saved().items():
            member = io.BytesIO()
            np.save(member, values)
            archive.writestr(f"{name}.npy", header if name == "dense_1.b" else member.getvalue())
    for path in (tmp_path / "w.npz", tmp_path / "h.npz"):
        tracemalloc.start()
        assert_refused(path, "dense_1.b has .* bytes, and the weight of shape")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
        tracemalloc.stop()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_gives_one_clear_error_or_the_right_weights(tmp_path: Any, data: Any) -> None:
    whole = io.BytesIO()
    save = data.draw(st.sampled_from([np.savez, np.savez_compressed]))
    save(whole, allow_pickle=False, **saved())
    content = bytearray(whole.getvalue())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path, net = tmp_path / "w.npz", model()
    path.write_bytes(content)
    before, expected = net.get_weights(), list(saved().values())
    try:
        net.load_weights(path)
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017 (or no error: a bit that does not matter)
        expected = before
    assert all(map(np.array_equal, expected, net.get_weights()))
