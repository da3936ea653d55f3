"""What an environment of ``pip install jaxcl`` holds, found without making one."""

import importlib.metadata as metadata
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import jaxcl

ROOT = Path(jaxcl.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def name_of(requirement: str) -> str:
    """The name of the package that is required."""
    return canonicalize_name(Requirement(requirement).name)


def packages() -> set[str]:
    """The names of all packages that come with the core: what it requires, and what these do."""
    found, ahead = set(), list(PROJECT["dependencies"])
    while ahead:
        requirement = Requirement(ahead.pop())
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and name not in found:
            found.add(name)
            ahead += metadata.requires(name) or []
    return found


def absent() -> list[str]:
    """The modules that are installed here and would not be there."""
    there = packages() | {
        "jaxcl",
        "setuptools",
    }  # whatever pip makes environments with is no matter
    return sorted(
        module
        for module, owners in metadata.packages_distributions().items()
        if module.isidentifier()
        and module not in sys.stdlib_module_names
        and not module.startswith(("__", "_distutils", "jaxcl"))
        and there.isdisjoint(map(canonicalize_name, owners))
    )
