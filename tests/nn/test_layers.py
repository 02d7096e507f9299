"""Initializers and layers: Keras's formulas, names, shapes and seeds, and a layer of one's own."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Tensor, nn
from tinygrad_edu.nn import initializers, layers
from tinygrad_edu.nn.layers import Layer

SHAPE = (60, 40)
# half the width of each uniform, standard deviation of each normal
LIMITS = {
    "glorot_uniform": np.sqrt(6 / 100),
    "he_uniform": np.sqrt(6 / 60),
    "random_uniform": 0.05,
}
DEVIATIONS = {"glorot_normal": np.sqrt(2 / 100), "he_normal": np.sqrt(2 / 60), "random_normal": 0.05}


@pytest.mark.parametrize("name", LIMITS)
def test_uniform_initializers(name: str) -> None:
    values = initializers.INITIALIZERS[name](seed=0)(SHAPE)  # type: ignore[call-arg]
    assert values.dtype == np.float32
    assert np.abs(values).max() <= LIMITS[name]
    np.testing.assert_allclose(values.std(), LIMITS[name] / np.sqrt(3), rtol=0.03)
    assert abs(values.mean()) < 0.05 * LIMITS[name]


@pytest.mark.parametrize("name", DEVIATIONS)
def test_normal_initializers(name: str) -> None:
    values = initializers.INITIALIZERS[name](seed=0)(SHAPE)  # type: ignore[call-arg]
    np.testing.assert_allclose(values.std(), DEVIATIONS[name], rtol=0.05)
    if name != "random_normal":  # cut off at two standard deviations of the normal before cutting
        assert np.abs(values).max() <= 2 * DEVIATIONS[name] / 0.87962566103423978


def test_spread_of_a_standard_normal_cut_off_at_two() -> None:
    # Var = 1 - 2 a φ(a) / (Φ(a) - Φ(-a)) with a = 2, by numerical integration
    x = (np.arange(200_000) + 0.5) / 50_000 - 2
    density = np.exp(-x * x / 2)
    np.testing.assert_allclose(
        np.sqrt(np.sum(x * x * density) / np.sum(density)), initializers.CUT_OFF_STDDEV
    )


def test_zeros_ones_and_names() -> None:
    assert initializers.get("zeros")((2, 1)).tolist() == [[0.0], [0.0]]
    assert initializers.get(initializers.Ones())((2,), np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="did you mean 'glorot_uniform'"):
        initializers.get("glorot_unifrm")
    with pytest.raises(TypeError, match=r"got the class; write Zeros\(\)"):
        nn.Dense(2, kernel_initializer=initializers.Zeros)
    with pytest.raises(NotImplementedError, match="needs a method draw"):
        initializers.Initializer()((2,))


def test_seeds() -> None:
    seeded = initializers.GlorotUniform(seed=3)
    np.testing.assert_array_equal(seeded(SHAPE), seeded(SHAPE))
    free = initializers.GlorotUniform()
    assert np.any(free(SHAPE) != free(SHAPE))
    first, second, third = (nn.Dense(2, input_dim=3, seed=seed).W.data for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.any(first != third)


def test_numpys_global_random_state_is_left_alone() -> None:
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    model = nn.Sequential([nn.Dense(3, input_dim=2), nn.Dropout(0.5), nn.Dense(1)])
    model.compile("adam", "mse")
    model.fit(np.ones((8, 2)), np.ones((8, 1)), epochs=2, verbose=0)
    assert np.random.random() == expected


# Layers ----------------------------------------------------------------------------------------------------


def test_dense_is_g_of_xw_plus_b() -> None:
    layer = nn.Dense(4, activation="tanh", input_dim=3, bias_initializer="ones", seed=0)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_array_equal(layer(x).data, np.tanh(x @ layer.W.data + layer.b.data))
    assert layer.kernel is layer.W
    assert layer.bias is layer.b
    assert [(p.name, p.shape, p.dtype) for p in layer.parameters] == [
        ("dense.W", (3, 4), np.float32),
        ("dense.b", (4,), np.float32),
    ]
    assert layer.count_params() == 16
    without = nn.Dense(4, use_bias=False, input_shape=(3,))
    assert without.b is None
    assert len(without.parameters) == 1
    np.testing.assert_array_equal(without(x).data, x @ without.W.data)


def test_calls_are_recorded_inside_the_layer() -> None:
    x = np.ones((2, 3), np.float32)
    model = nn.Sequential([nn.Dense(4, "relu", input_dim=3), nn.Dense(2)])
    y = model(x)
    assert y.node.scope == ("dense_1",)
    assert y.node.args[0].node.args[0].node.scope == ("dense",)
    assert y.node.source()[0] == __file__


def test_dense_builds_on_its_first_input() -> None:
    layer = nn.Dense(4)
    with pytest.raises(AttributeError, match="no 'W' before it is built; give it input_dim="):
        layer.W
    with pytest.raises(RuntimeError, match="no parameters before it is built; give it input_dim="):
        _ = layer.parameters
    assert layer(np.ones((2, 3))).shape == (2, 4)
    assert layer.W.shape == (3, 4)
    assert layer.output_shape == (None, 4)
    with pytest.raises(AttributeError, match="Dense has no attribute 'weights'"):
        layer.weights


@pytest.mark.parametrize(
    "x",
    [[[1, 2, 3]], np.array([[1, 2, 3]], np.uint8), np.array([[1.0, 2.0, 3.0]]), Tensor([[1.0, 2.0, 3.0]])],
)
def test_inputs_of_many_kinds(x: Any) -> None:
    layer = nn.Dense(2, input_dim=3, seed=0)
    y = layer(x)
    expected = np.array([[1, 2, 3]], np.float32) @ layer.W.data
    np.testing.assert_allclose(y.data, expected, rtol=1e-6)
    assert y.dtype == (np.float64 if isinstance(x, Tensor) else np.float32)


def test_float64_layers() -> None:
    layer = nn.Dense(2, input_dim=3, dtype="float64")
    assert layer(np.ones((1, 3), np.float32)).dtype == np.float64


@pytest.mark.parametrize("shape", [(2, 4), (4,), ()])
def test_wrong_number_of_features(shape: Any) -> None:
    layer = nn.Dense(2, input_dim=3)
    layer.ensure_built()
    with pytest.raises(ValueError, match="layer 'dense' takes 3 features, and got an input of shape"):
        layer(np.ones(shape))
    with pytest.raises(ValueError, match=r"promised examples of shape \(3,\)"):
        nn.Dense(2, input_dim=3)(np.ones(shape))


def test_wrong_arguments_of_dense() -> None:
    for units in (0, -1, 2.5, "10", True):
        with pytest.raises(ValueError, match="units is the number of outputs"):
            nn.Dense(units)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"input_dim=3 contradicts input_shape=\(4,\)"):
        nn.Dense(2, input_dim=3, input_shape=(4,))
    with pytest.raises(ValueError, match=r"shape \(N, features\)"):
        nn.Dense(2)(np.ones(3))
    layer = nn.Dense(2, input_dim=3, kernel_initializer=lambda shape, dtype: np.ones(5, dtype))
    with pytest.raises(ValueError, match=r"initializer of W gave shape \(5,\) instead of \(3, 2\)"):
        layer.ensure_built()
    assert not layer.built


def test_an_initializer_may_be_a_function() -> None:
    layer = nn.Dense(2, input_dim=3, kernel_initializer=lambda shape, dtype: np.full(shape, 0.5, dtype))
    assert layer.W.tolist() == [[0.5, 0.5]] * 3


def test_dropout() -> None:
    x = np.ones((100, 100), np.float32)
    layer = nn.Dropout(0.25, seed=0)
    np.testing.assert_array_equal(layer(x), x)
    with layers.training():
        y = layer(Tensor(x, requires_grad=True))
        again = layer(x)
    assert y.dtype == np.float32
    assert set(np.unique(y.data)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(np.mean(y.data) - 1) < 0.03
    assert np.any(y.data != again)
    assert not layers.is_training()
    with pytest.raises(ValueError, match="share of inputs that is dropped"):
        nn.Dropout(1.0)


def test_flatten_and_activation() -> None:
    model = nn.Sequential(
        [nn.Input(shape=(2, 3)), nn.Flatten(), nn.Dense(4), nn.Activation("softmax")], seed=0
    )
    y = model(np.ones((5, 2, 3)))
    np.testing.assert_allclose(np.sum(y.data, axis=1), 1, rtol=1e-6)
    assert model.layers[0].output_shape == (None, 6)


def test_a_layer_of_ones_own_in_five_lines() -> None:
    class Scale(Layer):
        def build(self, input_shape: Any) -> None:
            self.gain = self.add_weight("gain", (input_shape[-1],), "ones")

        def call(self, x: Any) -> Any:
            return x * self.gain

    model = nn.Sequential([Scale(input_dim=2), Scale(), nn.Dense(1)], seed=0)
    assert [p.name for p in model.parameters] == ["scale.gain", "scale_1.gain", "dense.W", "dense.b"]
    model.compile(nn.SGD(0.1), "mse")
    x = np.random.default_rng(0).normal(size=(64, 2))
    y = x @ [[1.0], [-2.0]]
    assert model.fit(x, y, epochs=40, verbose=0).history["loss"][-1] < 1e-3
    assert model.layers[0].gain.tolist() != [1.0, 1.0]
    with pytest.raises(NotImplementedError, match="Layer needs a method call"):
        Layer()(np.ones((1, 1)))


def test_layers_inside_a_layer_count() -> None:
    class Two(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = [nn.Dense(2, input_dim=2), nn.Dense(2, input_dim=2)]
            self.offset = Tensor([1.0], requires_grad=True)

        def call(self, x: Any) -> Any:
            return self.inner[0](x) + self.inner[1](x) + self.offset

    assert Two().count_params() == 13


def test_tensors_in_lists_and_dicts_count_too() -> None:
    class Kept(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.kept = {"a": Tensor([1.0], requires_grad=True), "more": [(Tensor([2.0, 3.0]),)], "n": 3}
            self.layers = {"inner": nn.Dense(2, input_dim=2)}

    assert [p.size for p in Kept().parameters] == [1, 2, 4, 2]


@pytest.mark.parametrize("built", [True, False])
def test_a_frozen_layer_is_left_out_of_training(built: bool, capsys: Any) -> None:
    first = nn.Dense(3, "relu", input_dim=2 if built else None, seed=0)
    first.trainable = False
    model = nn.Sequential([first, nn.Dense(1)], seed=0)
    model.compile(nn.SGD(0.1), "mse")
    x = np.random.default_rng(0).normal(size=(16, 2))
    model.predict(x)
    before = model.get_weights()
    model.fit(x, x[:, :1], epochs=2, verbose=0)
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert moved == [False, False, True, True]
    model.summary()
    assert "Total params: 13\nTrainable params: 4\nNon-trainable params: 9" in capsys.readouterr().out
    first.trainable = True
    model.fit(x, x[:, :1], epochs=2, verbose=0)
    assert not np.array_equal(before[0], first.W.data)


def test_freezing_a_model_freezes_its_layers_and_thawing_leaves_constants_alone() -> None:
    model = nn.Sequential([nn.Dense(3, input_dim=2), nn.Dense(1)])
    model.layers[1].b.requires_grad = False
    model.trainable = False
    assert not model.layers[0].trainable
    assert not any(p.requires_grad for p in model.parameters)
    model.trainable = True
    assert [p.requires_grad for p in model.parameters] == [True, True, True, False]


def test_a_layer_that_was_not_set_up_says_so() -> None:
    class Bare(Layer):
        def __init__(self) -> None:
            self.scale = 2.0

    for use in (lambda layer: layer(np.ones((1, 1))), nn.Sequential().add):
        with pytest.raises(AttributeError, match=r"own __init__ must begin with super\(\).__init__\(\)"):
            use(Bare())


def test_layers_can_be_copied_and_pickled() -> None:
    layer = nn.Dense(2, activation="relu", input_dim=3, seed=0)
    x = np.ones((1, 3))
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin.W is not layer.W
        np.testing.assert_array_equal(twin(x).data, layer(x).data)
