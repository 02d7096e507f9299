"""What a captured function reads around it is followed, and what it changes there is refused and put back."""

import argparse
import collections
import copy
import enum
import functools
import itertools
import logging
import random
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, ClassVar

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


def advanced(iterator: Iterator[int]) -> Iterator[int]:
    next(iterator)
    return iterator


CONTAINERS: dict[str, Callable[[], tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]]] = {
    "deque": lambda: (collections.deque([1]), lambda d: d.append(2), list),
    "set": lambda: ({1}, lambda s: s.add(2), sorted),
    "bytearray": lambda: (bytearray(b"a"), lambda b: b.append(2), bytes),
    "array": lambda: (np.zeros(3), lambda a: a.__setitem__(0, 1.0), np.ndarray.tolist),
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
    "cycle": lambda: (itertools.cycle([1, 2, 3]), next, lambda it: None),
    "enumerate": lambda: (enumerate([1, 2]), next, lambda it: None),
    "map": lambda: (map(abs, [1, 2]), next, lambda it: None),
    "advanced generator": lambda: (advanced(numbers()), next, lambda it: None),
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
    with pytest.raises(CaptureError, match=f"changing .*{kind.split()[-1]}"):
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


# What else is followed, each a function of x and how to change what it reads


class Box:
    default = 2.0

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Derived(Box):
    pass


class Colour(enum.Enum):
    RED = 2.0
    BLUE = 3.0


def replaced(before: Any, after: Any, read: Callable[[Any], Any]) -> Any:
    box = Box(part=before)
    return (lambda x: x * read(box.part)), lambda: setattr(box, "part", after)


def rebound_class() -> Any:
    kind = Box

    def change() -> None:
        nonlocal kind
        kind = types.SimpleNamespace(default=3.0)  # type: ignore[assignment]

    return (lambda x: x * kind.default), change


def imported_inside() -> Any:
    module = sys.modules["conf_of_a_test"] = types.ModuleType("conf_of_a_test")
    vars(module)["w"] = 2.0

    def f(x: Any) -> Any:
        from conf_of_a_test import w  # type: ignore[import-not-found]

        return x * w

    return f, functools.partial(setattr, module, "w", 3.0)


def part_of_a_module(value: Any, read: Callable[[Any], Any], change: Callable[[Any], Any]) -> Any:
    module = types.ModuleType("my_settings")
    vars(module)["part"] = value
    return (lambda x: x * read(module.part)), lambda: change(module)


def view_of_a_changed_array(look: Callable[[Any], Any]) -> Any:
    base = np.ones(2)
    view = look(base)
    return (lambda x: x * view), lambda: base.fill(3.0)


def read_only(base: Any) -> Any:
    view = base[:]
    view.flags.writeable = False
    return view


def another_default() -> Any:
    box = Box()
    return (lambda x: x * box.default), functools.partial(setattr, box, "default", 3.0)


def another_item(container: Any, read: Callable[[Any], Any], change: Callable[[Any], Any]) -> Any:
    return (lambda x: x * read(container)), lambda: change(container)


def another_class_attribute() -> Any:
    class Own(Box):
        pass

    return (lambda x: x * Own.default), functools.partial(setattr, Own, "default", 3.0)


FOLLOWED: dict[str, Callable[[], Any]] = {
    "object": lambda: replaced(Box(s=2.0), Box(s=3.0), lambda part: part.s),
    "tuple": lambda: replaced((2.0,), (3.0,), lambda part: part[0]),
    "float32": lambda: replaced(np.float32(2), np.float32(3), lambda part: part),
    "ufunc": lambda: replaced(np.tanh, np.exp, lambda part: part(0.5)),
    "builtin": lambda: replaced(max, min, lambda part: part(2.0, 3.0)),
    "enum": lambda: replaced(Colour.RED, Colour.BLUE, lambda part: part.value),
    "fraction": lambda: replaced(Fraction(1, 2), Fraction(3, 2), float),
    "list": lambda: replaced([2.0], [3.0], lambda part: part[0]),
    "frozenset": lambda: replaced(frozenset([1]), frozenset([1, 2]), len),
    "default of a class": another_default,
    "attribute of a derived class": another_class_attribute,
    "key of a dict": lambda: another_item({}, lambda d: d.get("s", 2.0), lambda d: d.update(s=3.0)),
    "item of a list": lambda: another_item([], lambda v: 1 + sum(v), lambda v: v.append(1.0)),
    "element of a set": lambda: another_item({1}, len, lambda v: v.add(2)),
    "item of a deque": lambda: another_item(collections.deque([1.0]), sum, lambda v: v.append(2.0)),
    "namespace": lambda: another_item(
        argparse.Namespace(s=2.0), lambda n: n.s, lambda n: setattr(n, "s", 3.0)
    ),
    "array's shape": lambda: another_item(np.ones(2), lambda a: a, lambda a: setattr(a, "shape", (2, 1))),
    "rebound class": rebound_class,
    "imported inside": imported_inside,
    "object in a module": lambda: part_of_a_module(
        Box(s=2.0), lambda part: part.s, lambda module: setattr(module.part, "s", 3.0)
    ),
    "dict in a module": lambda: part_of_a_module(
        {"s": 2.0}, lambda part: part["s"], lambda module: module.part.update(s=3.0)
    ),
    "tensor in a module": lambda: part_of_a_module(
        tg.Tensor(2.0), lambda part: part.data, lambda module: setattr(module, "part", tg.Tensor(3.0))
    ),
    "read-only view": lambda: view_of_a_changed_array(read_only),
    "broadcast view": lambda: view_of_a_changed_array(lambda a: np.broadcast_to(a, (3, 2))),
}


@pytest.mark.filterwarnings("ignore:Setting the shape")
@pytest.mark.parametrize("what", FOLLOWED)
def test_what_a_function_reads_is_followed(what: str) -> None:
    f, change = FOLLOWED[what]()
    step, x = tg.jit(f), np.array([1.0, 2.0])
    np.testing.assert_array_equal(step(x), f(x))
    before = f(x)
    change()
    assert not np.array_equal(f(x), before)
    np.testing.assert_array_equal(step(x), f(x))
    step(x)
    assert step.traces == 2


def test_a_module_first_imported_by_the_function_is_followed(tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "late_settings_of_a_test.py").write_text("scale = 2.0\n")
    monkeypatch.syspath_prepend(tmp_path)

    def f(x: Any) -> Any:
        import late_settings_of_a_test as late  # type: ignore[import-not-found]

        return x * late.scale

    step = tg.jit(f)
    assert step(np.ones(1)).tolist() == [2.0]
    monkeypatch.setattr("late_settings_of_a_test.scale", 3.0)
    assert step(np.ones(1)).tolist() == [3.0]
    step(np.ones(1))
    assert step.traces == 2


def test_another_optimizer_is_followed() -> None:
    w = tg.Tensor([1.0, 1.0], requires_grad=True)
    trainer = Box(optimizer=nn.SGD(0.1))

    @tg.jit
    def step(x: Any) -> None:
        np.sum(w * x).backward()
        trainer.optimizer.apply([w])

    step(np.ones(2))
    trainer.optimizer = nn.SGD(1.0)
    before = w.data
    step(np.ones(2))
    np.testing.assert_allclose(before - w.data, 1.0)


def test_what_code_does_not_name_is_neither_refused_nor_looked_at() -> None:
    box = Box(s=2.0, log=[], losses=[0.0], times={}, rows=[[i, [i]] for i in range(20_000)])
    box.lock = threading.Lock()
    logger = logging.getLogger("a test's own")

    @tg.jit
    def step(x: Any) -> Any:
        box.log
        logger.debug("fresh")
        return x * box.s

    step(np.ones(2))
    assert len(step.last.world) < 80  # type: ignore[union-attr]  # what is compared before each call
    for i in range(5):
        box.losses.append(float(i))
        box.times[i] = 1.0
        step(np.ones(2))
    assert step.traces == 1


def test_what_other_threads_write_meanwhile_is_not_undone() -> None:
    box, go, done = Box(s=2.0, entries=[]), threading.Event(), threading.Event()

    def write() -> None:
        go.wait()
        box.entries.extend([1, 2, 3])
        done.set()

    def step(x: Any) -> Any:
        go.set()
        done.wait()
        return x * box.s

    thread = threading.Thread(target=write)
    thread.start()
    tg.jit(step)(np.ones(2))
    thread.join()
    assert box.entries == [1, 2, 3]


def test_jitted_methods_of_derived_and_copied_objects() -> None:
    class First:
        def __init__(self) -> None:
            self.s = 2.0

        @tg.jit
        def step(self, x: Any) -> Any:
            return x * self.s

        @tg.jit
        def outer(self, x: Any) -> Any:
            return self.step(x) + 1

    class Second(First):
        def step(self, x: Any) -> Any:
            return super().step(x) + 100.0

    x, second = np.array([1.0]), Second()
    assert [second.step(x)[0] for _ in range(3)] == [102.0] * 3
    first = First()
    assert (first.step(x)[0], first.outer(x)[0]) == (2.0, 3.0)
    assert first.step is first.step
    other = copy.copy(first)
    other.s = 5.0
    assert (other.step(x)[0], first.step(x)[0]) == (5.0, 2.0)


def test_odd_objects_do_not_stop_it() -> None:
    class Raising:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

        def __len__(self) -> int:
            raise RuntimeError("no length")

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no comparison")

    class Slot:
        __slots__ = ("s",)

    class Liar:
        __class__ = dict  # type: ignore[assignment]

    slot, names = Slot(), {None: "unknown", (1, 2): 3}
    slot.s = 2.0
    thing = Box(a=1.0)
    odd = [Raising(), Liar(), weakref.proxy(thing), names]
    del thing

    def f(x: Any) -> Any:
        return x * len(odd) * len(names) * getattr(slot, "s", 7.0)

    step, x = tg.jit(f), np.ones(2)
    np.testing.assert_array_equal(step(x), f(x))
    del slot.s
    slot.s = 5.0
    np.testing.assert_array_equal(step(x), f(x))


def test_a_random_generator_of_pythons_is_refused() -> None:
    own, box = random.Random(0), Box(rng=np.random.default_rng(0))
    for f in (lambda x: x * own.random(), lambda x: x * box.rng.normal()):
        with pytest.raises(CaptureError, match="random numbers were drawn"):
            tg.jit(f)(np.ones(2))


def test_a_count_kept_by_a_function_or_class_is_refused() -> None:
    def helper(x: Any) -> Any:
        helper.n += 1  # type: ignore[attr-defined]
        return x

    helper.n = 0  # type: ignore[attr-defined]

    class Counting:
        seen: ClassVar[list[int]] = []

    def appends(x: Any) -> Any:
        Counting.seen.append(1)
        return x

    for f in (helper, appends):
        with pytest.raises(CaptureError, match="changing"):
            tg.jit(lambda x, f=f: f(x))(np.ones(2))
    assert (helper.n, Counting.seen) == (0, [])  # type: ignore[attr-defined]


def test_dicts_keep_their_order_when_put_back() -> None:
    settings = {"a": 1, "b": 2}

    def f(x: Any) -> Any:
        settings["a"] = 3
        return x

    with pytest.raises(CaptureError, match="changing 'a' of a dict"):
        tg.jit(f)(np.ones(2))
    assert list(settings.items()) == [("a", 1), ("b", 2)]
