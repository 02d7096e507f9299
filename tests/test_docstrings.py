"""Public docstrings say what they raise: an error's class in a ``raise`` is named under ``Raises:``."""

import ast
import inspect
import re
import sys
import textwrap
import types

import pytest

import tinygrad_edu as tg

# shared by the modules of nn, and no names for users
INTERNAL = {
    "nn.base_optimizer.between",
    "nn.losses.check_labels",
    "nn.losses.check_logits",
    "nn.losses.check_order",
    "nn.losses.log_probabilities",
    "nn.losses.matched",
    "nn.losses.no_gradient",
}


def public(module):
    """Yield the public functions, classes and their methods of a module and of the modules it lists."""
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    for name in names:
        thing = getattr(module, name)
        if isinstance(thing, types.ModuleType):
            if thing.__name__.startswith("tinygrad_edu"):
                yield from public(thing)
        elif inspect.isroutine(thing) or inspect.isclass(thing):
            thing = inspect.unwrap(thing)
            if getattr(thing, "__module__", "").startswith("tinygrad_edu"):
                yield from with_methods(thing)


def with_methods(thing):
    yield thing
    for name, member in vars(thing).items() if inspect.isclass(thing) else ():
        if isinstance(member, property):
            yield member.fget
        elif isinstance(member, (types.FunctionType, classmethod, staticmethod)) and not name.startswith("_"):
            yield inspect.unwrap(getattr(member, "__func__", member))


def label(thing):
    return f"{thing.__module__.removeprefix('tinygrad_edu.')}.{thing.__qualname__}"


EVERYTHING = {label(thing): thing for thing in public(tg) if label(thing) not in INTERNAL}


def raised(thing):
    """Name the errors that a function, or the making of an object, raises itself or in a private helper."""
    owner = sys.modules[thing.__module__]
    return raised_by(making(thing), owner)


def making(thing):
    """Return the code of a class that the user's arguments go to; a function is its own."""
    if not inspect.isclass(thing):
        return thing
    written = vars(thing).get("__init__")
    if written is None or written.__code__.co_filename == "<string>":  # a dataclass
        return vars(thing).get("__post_init__")
    return written


def raised_by(function, owner, deeper=True):
    if function is None:
        return set()
    tree = parsed(function)
    found = {name_of(node.exc, owner) for node in ast.walk(tree) if isinstance(node, ast.Raise)}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call) and deeper):
        helper = helper_called(call.func, function, owner)
        found |= raised_by(making(helper), owner, deeper=False)
    return found - {None, "NotImplementedError"}  # which says what a subclass is to write


def parsed(function):
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def name_of(error, owner):
    """Name the class of an error that is made here, or by a function that says which it returns."""
    if not isinstance(error, ast.Call) or not isinstance(error.func, ast.Name):
        return None  # raised again, or asked of an object
    made_by = getattr(owner, error.func.id, None)
    if isinstance(made_by, types.FunctionType):
        kind = made_by.__annotations__.get("return")
        return getattr(kind, "__name__", kind)
    return error.func.id


def helper_called(called, function, owner):
    """Return the private function or class of this module, or method of this class, that a call is of."""
    if isinstance(called, ast.Name) and called.id.startswith("_"):
        helper = getattr(owner, called.id, None)
    elif isinstance(called, ast.Attribute) and called.attr.startswith("_") and is_self(called.value):
        helper = getattr(getattr(owner, function.__qualname__.partition(".")[0], None), called.attr, None)
    else:
        return None
    return helper if isinstance(helper, (types.FunctionType, type)) else None


def is_self(node):
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def said(thing):
    """Name the errors under ``Raises:`` in a docstring."""
    section = re.search(r"^Raises:\n((?:[ ]+.*\n?)+)", inspect.getdoc(thing) or "", re.MULTILINE)
    named = re.findall(r"^ {4}(\w[\w, ]*):", section[1], re.MULTILINE) if section else []
    return {name for names in named for name in names.split(", ")}


@pytest.mark.parametrize("name", EVERYTHING)
def test_what_is_raised_is_said(name):
    unsaid = raised(EVERYTHING[name]) - said(EVERYTHING[name])
    told = f"{name} raises {unsaid} that its Raises: does not name"
    assert not unsaid, told
