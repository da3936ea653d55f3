"""What is released is called the same everywhere."""

import re

import core_alone
import yaml

import jaxcl


def test_the_version_is_the_same_everywhere():
    cited = yaml.safe_load((core_alone.ROOT / "CITATION.cff").read_text())
    newest = re.search(
        r"^## (\S+) - (\S+)$", (core_alone.ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert newest is not None
    assert newest.groups() == (cited["version"], str(cited["date-released"]))
    assert cited["version"] == jaxcl.__version__
