"""What is released is called the same everywhere, and the README's loop runs."""

import re

import core_alone
import own_loop
import yaml

import jaxcl


def test_the_loop_of_the_readme_keeps_the_first_task(capsys):
    """Here; ``.ci/run`` does the same in an environment that has the core alone."""
    own_loop.main(core_alone.ROOT / "README.md")
    assert capsys.readouterr().out.startswith("accuracy of the two tasks: ")


def test_the_version_is_the_same_everywhere():
    cited = yaml.safe_load((core_alone.ROOT / "CITATION.cff").read_text())
    newest = re.search(
        r"^## (\S+) - (\S+)$", (core_alone.ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert newest is not None
    assert newest.groups() == (cited["version"], str(cited["date-released"]))
    assert cited["version"] == jaxcl.__version__
