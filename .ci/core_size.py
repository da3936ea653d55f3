"""Prints how much an environment of ``pip install jaxcl`` holds; more than 450 MB fail.

JAX itself (jax and jaxlib) is counted apart, and pip and setuptools are not, which every
environment is made with.
"""

import importlib.metadata as metadata
import sys
from collections import Counter

MOST = 450  # MB
JAX = {"jax", "jaxlib"}
GIVEN = {"pip", "setuptools"}


def sizes() -> Counter[str]:
    """The bytes of each installed package."""
    found: Counter[str] = Counter()
    for package in metadata.distributions():
        places = [package.locate_file(file) for file in package.files or ()]
        found[package.name] = sum(place.stat().st_size for place in places if place.is_file())
    return found


def main() -> None:
    """Prints the packages by their size, then the two sums."""
    found = Counter({name: size for name, size in sizes().items() if name not in GIVEN})
    for name, size in found.most_common():
        print(f"{size / 1e6:8.1f} MB  {name}")
    beside = sum(size for name, size in found.items() if name not in JAX) / 1e6
    print(f"JAX itself {sum(found[name] for name in JAX) / 1e6:.0f} MB, beside it {beside:.0f} MB")
    if beside > MOST:
        sys.exit(f"more than {MOST} MB beside JAX")


if __name__ == "__main__":
    main()
