"""What a captured function reads around it is followed, and what it changes there is refused and put back."""

import collections
import functools
import itertools
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import CaptureError, nn

beta = 1.0
X = np.linspace(-1, 1, 24, dtype=np.float32)[:, None]
Y = 3 * X + 1


def mse(y_true: Any, y_pred: Any) -> Any:
    return np.mean((y_pred - y_true) ** 2)


def helper(x: Any) -> Any:
    return x


class Settings:
    shared = 1.0

    def __init__(self) -> None:
        self.beta = 1.0
        self.inner = types.SimpleNamespace(beta=1.0)
        self.scale: Callable[[Any], Any] = lambda x: x

    @property
    def doubled(self) -> float:
        return 2 * self.beta

    def scaled(self, x: Any) -> Any:
        return self.beta * x

    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        return self.beta * mse(y_true, y_pred)


class Slots:
    __slots__ = ("beta",)

    def __init__(self) -> None:
        self.beta = 1.0


@tg.primitive(lambda g, y, x: g * beta)
def with_a_rule(x: Any) -> Any:
    return x * 1.0


# Each world gives a loss, and a function that changes what the loss reads


def global_variable() -> Any:
    return (lambda a, b: beta * mse(a, b)), (lambda v: globals().update(beta=v))


def closure_variable() -> Any:
    local = 1.0

    def change(v: float) -> None:
        nonlocal local
        local = v

    return (lambda a, b: local * mse(a, b)), change


def redefined_helper() -> Any:
    return (lambda a, b: helper(mse(a, b))), (lambda v: globals().update(helper=lambda x: v * x))


def attribute() -> Any:
    s = Settings()
    return (lambda a, b: s.beta * mse(a, b)), functools.partial(setattr, s, "beta")


def attribute_of_an_attribute() -> Any:
    s = Settings()
    return (lambda a, b: s.inner.beta * mse(a, b)), functools.partial(setattr, s.inner, "beta")


def function_in_an_attribute() -> Any:
    s = Settings()
    return (lambda a, b: s.scale(mse(a, b))), lambda v: setattr(s, "scale", lambda x: v * x)


def attribute_through_self() -> Any:
    s = Settings()
    return s, functools.partial(setattr, s, "beta")


def attribute_through_a_method() -> Any:
    s = Settings()
    return (lambda a, b: s.scaled(mse(a, b))), functools.partial(setattr, s, "beta")


def attribute_through_a_property() -> Any:
    s = Settings()
    return (lambda a, b: s.doubled * mse(a, b)), functools.partial(setattr, s, "beta")


def class_attribute() -> Any:
    return (lambda a, b: Settings.shared * mse(a, b)), functools.partial(setattr, Settings, "shared")


def class_attribute_through_an_object() -> Any:
    s = Settings()
    return (lambda a, b: s.shared * mse(a, b)), functools.partial(setattr, Settings, "shared")


def slot() -> Any:
    s = Slots()
    return (lambda a, b: s.beta * mse(a, b)), functools.partial(setattr, s, "beta")


def item_of_a_dict() -> Any:
    config = {"beta": 1.0}
    return (lambda a, b: config["beta"] * mse(a, b)), lambda v: config.update(beta=v)


def item_of_a_list() -> Any:
    config = [[1.0]]
    return (lambda a, b: config[0][0] * mse(a, b)), lambda v: config[0].__setitem__(0, v)


def array_changed_in_place() -> Any:
    config = np.ones(3)
    return (lambda a, b: float(config[1]) * mse(a, b)), lambda v: config.fill(v)


def module_of_the_users() -> Any:
    module = types.ModuleType("my_settings")
    vars(module)["beta"] = 1.0
    return (lambda a, b: module.beta * mse(a, b)), functools.partial(setattr, module, "beta")


def partial() -> Any:
    return functools.partial(lambda c, a, b: c["beta"] * mse(a, b), config := {"beta": 1.0}), (
        lambda v: config.update(beta=v)
    )


def gradient_rule() -> Any:
    return (lambda a, b: mse(a, with_a_rule(b))), (lambda v: globals().update(beta=v))


WORLDS: list[Callable[[], Any]] = [
    *(global_variable, closure_variable, redefined_helper, attribute, attribute_of_an_attribute),
    *(function_in_an_attribute, attribute_through_self, attribute_through_a_method),
    *(attribute_through_a_property, class_attribute, class_attribute_through_an_object, slot),
    *(item_of_a_dict, item_of_a_list, array_changed_in_place, module_of_the_users, partial, gradient_rule),
]


@pytest.fixture(autouse=True)
def put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "beta", 1.0)
    monkeypatch.setitem(globals(), "helper", helper)
    monkeypatch.setattr(Settings, "shared", 1.0)


def losses(world: Callable[[], Any], values: list[float], eagerly: bool) -> Any:
    loss, change = world()
    change(1.0)
    model = nn.Sequential([nn.Dense(1, input_dim=1, seed=0)])
    model.compile(nn.SGD(0.1), loss, run_eagerly=eagerly)
    following = nn.LambdaCallback(on_epoch_begin=lambda epoch: change(values[epoch]))
    options: Any = {"epochs": len(values), "verbose": 0, "shuffle": False, "callbacks": following}
    return model.fit(X, Y, **options).history["loss"], model.get_weights()


@pytest.mark.parametrize("world", WORLDS)
def test_fit_follows_what_a_loss_reads(world: Callable[[], Any]) -> None:
    values = [1.0, 4.0, 0.5, 0.5, 0.0]
    got, expected = losses(world, values, False), losses(world, values, True)
    assert got[0] == expected[0]
    for a, b in zip(got[1], expected[1], strict=True):
        np.testing.assert_array_equal(a, b)


@given(
    reads=st.lists(st.sampled_from(WORLDS), min_size=1, max_size=4),
    values=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.5, 1.0, 4.0])), max_size=6),
)
def test_fit_equals_its_eager_self_for_any_reads(reads: Any, values: Any) -> None:
    def world() -> Any:
        parts = [read() for read in reads]

        def change(v: Any) -> None:
            if v == 1.0:
                for _, each in parts:
                    each(1.0)
            else:
                parts[v[0] % len(parts)][1](v[1])

        return (lambda a, b: sum(loss(a, b) for loss, _ in parts)), change

    values = [1.0, *values]
    assert losses(world, values, False)[0] == losses(world, values, True)[0]


@pytest.mark.parametrize("kind", ["layer", "optimizer"])
def test_fit_follows_what_a_layer_or_optimizer_of_ones_own_reads(kind: str) -> None:
    class Scale(nn.Layer):
        def call(self, x: Any) -> Any:
            return x * beta

    class Descent(nn.Optimizer):
        def rule(self, param: Any, grad: Any, state: Any, learning_rate: Any, step: Any) -> Any:
            return param - beta * learning_rate * grad, state

    def fitted(eagerly: bool) -> Any:
        globals()["beta"] = 1.0
        layers = [nn.Dense(1, input_dim=1, seed=0), *([Scale()] if kind == "layer" else [])]
        model = nn.Sequential(layers)
        model.compile(Descent(0.1) if kind == "optimizer" else "sgd", "mse", run_eagerly=eagerly)
        callback = nn.LambdaCallback(on_epoch_begin=lambda epoch: globals().update(beta=epoch + 1.0))
        return model.fit(X, Y, epochs=3, verbose=0, shuffle=False, callbacks=callback).history["loss"]

    assert fitted(False) == fitted(True)


def test_nothing_is_made_anew_where_nothing_that_is_read_has_changed() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.steps, self.beta = 0, 2.0

        def step(self, x: Any) -> Any:
            return self.beta * x

    trainer = Trainer()
    step = tg.jit(trainer.step)
    for _ in range(5):
        trainer.steps += 1  # which the step does not read
        step(np.ones(2))
    assert step.traces == 1


# Side effects


def numbers() -> Iterator[int]:
    yield from range(1000)


CONTAINERS: dict[str, Callable[[], tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]]] = {
    "deque": lambda: (collections.deque([1]), lambda d: d.append(2), list),
    "set": lambda: ({1}, lambda s: s.add(2), sorted),
    "bytearray": lambda: (bytearray(b"a"), lambda b: b.append(2), bytes),
    "ndarray": lambda: (np.zeros(3), lambda a: a.__setitem__(0, 1.0), np.ndarray.tolist),
    "defaultdict": lambda: (collections.defaultdict(list), lambda d: d["a"], dict),
    "Counter": lambda: (collections.Counter(), lambda c: c.update("a"), dict),
    "dict": lambda: ({"a": 1}, lambda d: d.update(a=2), dict),
    "list": lambda: ([1], lambda d: d.append(2), list),
    "Slots": lambda: (Slots(), lambda s: setattr(s, "beta", 2.0), lambda s: s.beta),
    "SimpleNamespace": lambda: (types.SimpleNamespace(n=0), lambda s: setattr(s, "n", 1), lambda s: s.n),
    "class Settings": lambda: (Settings, lambda s: setattr(s, "shared", 2.0), lambda s: s.shared),
    "list_iterator": lambda: (iter([1, 2, 3]), next, lambda it: None),
    "generator": lambda: (numbers(), next, lambda it: None),
    "count": lambda: (itertools.count(), next, lambda it: None),
}


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("place", ["closure", "default", "attribute"])
def test_what_a_function_changes_is_refused_and_put_back(kind: str, place: str) -> None:
    owner, change, content = CONTAINERS[kind]()
    before = content(owner)
    box = types.SimpleNamespace(owner=owner)

    def by_closure(x: Any) -> Any:
        change(owner)
        return x * 2

    def by_default(x: Any, thing: Any = owner) -> Any:
        change(thing)
        return x * 2

    def by_attribute(x: Any) -> Any:
        change(box.owner)
        return x * 2

    fn = {"closure": by_closure, "default": by_default, "attribute": by_attribute}[place]
    with pytest.raises(CaptureError, match=f"changing .*{kind}"):
        tg.jit(fn)(np.ones(2))
    assert content(owner) == before


def test_an_opaque_function_may_do_what_it_likes() -> None:
    calls: list[int] = []

    @tg.opaque
    def counted(x: Any) -> Any:
        calls.append(1)
        return np.array(x)

    step = tg.jit(lambda x: counted(x) + 1)
    for _ in range(3):
        step(np.ones(2))
    assert len(calls) == 3 + 1  # once for the example that the program is made from
