"""A user's program: it runs, `mypy --strict` accepts it, and finds the types that it asserts."""

from collections.abc import Callable, Sequence
from typing import Any, assert_type

from numpy.typing import NDArray

import tinygrad_edu as tg
import tinygrad_edu.numpy as np
from tinygrad_edu import Tensor, nn

Array = NDArray[np.float64]

x = np.ones((4, 2))
labels = np.array([0, 1, 1, 0])
w = Tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True, name="w")
b = Tensor([0.0, 0.0], requires_grad=True, name="b")

# Operators and methods

assert_type(w * 2 + 1, Tensor)
assert_type(2 / w - w**2, Tensor)
assert_type(w @ b, Tensor)
assert_type(x @ w + b, Tensor)
assert_type(x[:2].T * w, Tensor)
assert_type(np.float64(2) * w, Tensor)
assert_type(-w[0, 1:], Tensor)
assert_type(w > 0, Tensor)
assert_type(w == b, Tensor)
assert_type(w.T.reshape(-1).sum(), Tensor)

# NumPy's functions

assert_type(np.exp(w), Tensor)
assert_type(np.maximum(0, w), Tensor)
assert_type(np.sum(w * w, axis=0, keepdims=True), Tensor)
assert_type(np.mean(w), Tensor)
assert_type(np.where(x[:2] > 0, 0, w), Tensor)
assert_type(np.concatenate([w, w]), Tensor)
assert_type(np.stack((b, b), axis=1), Tensor)
assert_type(np.einsum("ij,jk->ik", x, w), Tensor)
assert_type(np.linalg.inv(w), Tensor)
assert_type(np.linalg.solve(x[:2] * [[1], [2]] + [1, 0], b), Tensor)
assert_type(np.split(w, 2), Sequence[Tensor])
assert_type(np.modf(w), Sequence[Tensor])
loss: Tensor = np.mean(w)
loss.backward()
np.mean(w).backward()
np.testing.assert_allclose(w.grad, 0.5)
assert w.grad is not None
assert_type(w.grad.sum(), Tensor)

# of plain arrays, and what takes no Tensor

assert_type(np.exp(x), NDArray[Any])
assert_type(np.maximum(x, 0), NDArray[Any])
assert_type(np.allclose(w.detach(), 1), bool)
assert_type(np.pi, float)
zeros: Array = np.zeros(3)

# Functions of functions


def total(w: Tensor) -> Tensor:
    return np.sum(np.tanh(x @ w + b))


def with_aux(w: Tensor) -> tuple[Tensor, int]:
    return total(w), 1


start: Array = w.numpy()
assert_type(tg.grad(total)(start), Any)
assert_type(tg.grad(with_aux, has_aux=True)(start), tuple[Any, Any])
assert_type(tg.value_and_grad(total)(start), tuple[Any, Any])
assert_type(tg.vjp(total, start), tuple[Any, Callable[..., Any]])
assert_type(tg.jvp(total, [start], [start]), tuple[Any, Any])
assert_type(tg.checkpoint(total)(w), Tensor)
assert_type(tg.stop_gradient(w), Tensor)
assert_type(tg.stop_gradient([w, b]), list[Tensor])


@tg.primitive(lambda g, y, z: g * (z > 0))
def relu(z: Any) -> Any:
    return np.maximum(z, 0)


assert_type(relu(w), Any)


@tg.no_grad
def predict(x: Array) -> Tensor:
    return x @ w + b


assert_type(predict(x), Tensor)
sgd = nn.optimizers.SGD(0.1)


@tg.jit
def step(x: Array, labels: NDArray[np.int64]) -> Tensor:
    loss: Tensor = nn.losses.softmax_cross_entropy(x @ w + b, labels)
    loss.backward()
    sgd.apply([w, b])
    return loss.detach()


@tg.jit(compiled=False)
def twice(x: Tensor) -> Tensor:
    return x * 2


assert_type(step(x, labels), Tensor)
assert_type(step.source, str)
assert_type(twice(w.detach()), Tensor)

# Networks


class Scale(nn.Layer):
    factor: Tensor

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.factor = self.add_weight("factor", input_shape[-1:], "ones")

    def call(self, x: Tensor) -> Tensor:
        return x * self.factor


class Plain(nn.Optimizer):
    def rule(
        self, param: Any, grad: Any, state: tuple[Any, ...], learning_rate: Any, step: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        return param - learning_rate * grad, state


class Report(nn.Callback):
    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        assert logs["loss"] > 0


model = nn.Sequential([Scale(), nn.Dense(2, activation="softmax")])
model.compile(optimizer=Plain(0.1), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, labels, epochs=2, batch_size=2, callbacks=[Report()], verbose=0)
assert_type(history.history["loss"], list[float])
assert_type(model.predict(x), Any)


# Mistakes: mypy complains of a ``type: ignore`` that it does not need


def mistakes() -> None:
    w.backwards()  # type: ignore[attr-defined]
    w.grad.data  # type: ignore[union-attr]  # before backward there is none
    np.zeros(Tensor)  # type: ignore[call-overload]
    np.exp(w, w)  # type: ignore[call-overload]
    relu(w, w)  # type: ignore[call-arg]
    predict("x")  # type: ignore[arg-type]
    step(x)  # type: ignore[call-arg]
    tg.checkpoint(total)()  # type: ignore[call-arg]
