"""The reference that docstrings make: every public name says what it does, and how it fails."""

import ast
import builtins
import dataclasses
import functools
import importlib
import inspect
import itertools
import re
import sys
import textwrap
from pathlib import Path

import pytest

import jaxcl
from jaxcl.core import errors

PAGES = ("jaxcl", "jaxcl.methods", "jaxcl.networks", "jaxcl.transforms")
SECTION = re.compile(
    r"^(Args|Attributes|Raises|Returns|References|Yields):\n((?:\n|[ \t]+.+)+)$", re.M
)
ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|exc|obj):`([^`]+)`")


def names():
    for page in PAGES:
        for name in importlib.import_module(page).__all__:
            if not inspect.ismodule(getattr(importlib.import_module(page), name)):
                yield page, name


ALL = [pytest.param(*each, id=".".join(each)) for each in names()]
CALLED = [
    pytest.param(page, name, id=f"{page}.{name}")
    for page, name in names()
    if inspect.isfunction(getattr(importlib.import_module(page), name))
]


@functools.cache
def tree_of(file: str) -> ast.Module:
    return ast.parse(Path(file).read_text())


def said_after(body: list[ast.stmt]) -> dict[str, str]:
    """Names of a body whose definition is followed by a text."""
    found = {}
    for first, then in itertools.pairwise(body):
        if isinstance(first, ast.AnnAssign | ast.Assign) and isinstance(then, ast.Expr):
            target = first.target if isinstance(first, ast.AnnAssign) else first.targets[0]
            text = then.value
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                found[ast.unparse(target)] = inspect.cleandoc(text.value)
    return found


def fields_said(kind: type) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in kind.__mro__:
        if each.__module__.startswith("jaxcl"):
            (node,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
            assert isinstance(node, ast.ClassDef)
            found = {**said_after(node.body), **found}
    return found


def text_of(page: str, name: str) -> str:
    """What the reference says of a name: its docstring, or the text below its definition."""
    module = importlib.import_module(page)
    found = getattr(module, name)
    if inspect.isclass(found) or inspect.isfunction(found):
        own = vars(found).get("__doc__") if inspect.isclass(found) else found.__doc__
        made = f"{name}("  # what dataclasses and named tuples write by themselves
        return "" if own is None or own.startswith(made) else inspect.cleandoc(own)
    return said_after(tree_of(str(module.__file__)).body).get(name, "")


def sections(text: str) -> dict[str, dict[str, str]]:
    """Section -> name -> what is said of it: an argument a line, as pdoc lists no others."""
    found = {}
    for title, body in SECTION.findall(text):
        entries = re.split(r"^(?=\S)", textwrap.dedent(body), flags=re.M)
        pairs = [each.partition(":") for each in entries if each.strip()]
        found[title] = {
            name.strip(" *"): rest.strip()
            for first, _, rest in pairs
            for name in ([first] if title == "Args" else first.split(","))
        }
    return found


@pytest.mark.parametrize(("page", "name"), ALL)
def test_a_public_name_says_what_it_is_and_names_its_fields(page, name):
    found, text = getattr(importlib.import_module(page), name), text_of(page, name)
    assert len(text.split()) >= 3
    if inspect.isclass(found):
        data = (
            [each.name for each in dataclasses.fields(found) if each.metadata == {}]
            if (dataclasses.is_dataclass(found))
            else list(getattr(found, "_fields", ()))
        )
        said = {**fields_said(found), **sections(text).get("Attributes", {})}
        assert [field for field in data if not said.get(field)] == []
        own = {n: f for n, f in vars(found).items() if inspect.isfunction(f) and n[0] != "_"}
        assert [n for n, f in own.items() if not f.__doc__] == []


@pytest.mark.parametrize(("page", "name"), CALLED)
def test_args_are_the_arguments(page, name):
    found = getattr(importlib.import_module(page), name)
    said = sections(text_of(page, name)).get("Args", {})
    assert list(said) == list(inspect.signature(found).parameters)
    assert all(said.values())


def raised_in(function) -> set[str]:
    """Exceptions that stand in a function's own lines, those of functions inside it left out."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    found, left = set(), list(ast.iter_child_nodes(node))
    while left:
        each = left.pop()
        if isinstance(each, ast.FunctionDef | ast.Lambda):
            continue
        if isinstance(each, ast.Raise) and isinstance(each.exc, ast.Call):
            found.add(ast.unparse(each.exc.func))
        left += ast.iter_child_nodes(each)
    return found


@functools.cache
def raised_anywhere() -> set[str]:
    files = Path(str(jaxcl.__file__)).parent.rglob("*.py")
    return {name for file in files for name in re.findall(r"raise (\w+)", file.read_text())}


def exception(name: str):
    return (
        getattr(builtins, name, None) or getattr(errors, name, None) or getattr(jaxcl, name, None)
    )


@pytest.mark.parametrize(("page", "name"), CALLED)
def test_raises_says_no_other_error_than_there_is(page, name):
    function = getattr(importlib.import_module(page), name)
    said = sections(text_of(page, name)).get("Raises", {})
    assert raised_in(function) <= set(said)
    for each, why in said.items():
        assert issubclass(exception(each), Exception)
        assert each in raised_anywhere()
        assert why


@pytest.mark.parametrize(("page", "name"), ALL)
def test_what_a_text_refers_to_is_public(page, name):
    home = importlib.import_module(page)
    for target in ROLE.findall(text_of(page, name)):
        *outer, last = target.removeprefix("~").rsplit(".", 1)
        where = ".".join(outer)
        if where in PAGES:
            assert last in importlib.import_module(where).__all__, target
        else:  # a name of the page, or a member of one
            first = target.split(".")[0]
            member = hasattr(getattr(home, name), target)
            assert first in home.__all__ or member, target


def test_what_is_looked_for_is_found():
    text = (
        "One.\n\nArgs:\n  a: first,\n    and more.\n  b, c: others.\n\n"
        "Raises:\n  TypeError, ValueError: no.\n"
    )
    assert sections(text) == {
        "Args": {"a": "first,\n  and more.", "b, c": "others."},
        "Raises": {"TypeError": "no.", "ValueError": "no."},
    }
    assert raised_in(test_what_is_looked_for_is_found) == set()
    assert raised_in(sys.modules["jaxcl"].transforms.l2_init) == set()
    assert raised_in(sys.modules["jaxcl"].transforms.redo) == {"ValueError"}
