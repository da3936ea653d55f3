"""The pages that pdoc makes of the docstrings."""

import html
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = ("jaxcl", "jaxcl.methods", "jaxcl.networks", "jaxcl.transforms")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-W", "error", "-m", "pdoc", "jaxcl", "-o", str(folder)]
    made = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    assert "Warn" not in made.stderr
    return folder


def text_of(file: Path) -> str:
    """A page without its scripts."""
    return re.sub(r"<script.*?</script>", "", file.read_text(), flags=re.DOTALL)


def page(site: Path, name: str) -> str:
    return text_of(site / f"{name.replace('.', '/')}.html")


def plain(text: str) -> str:
    """What a reader sees of a page, without what separates words."""
    seen = html.unescape(re.sub(r"<[^>]+>", "", text))
    return re.sub(r"[\W_]+", "", seen)


def entry(text: str, name: str) -> str:
    """The section of a name."""
    found = re.search(rf'<section id="{name}">(.*?)</section>', text, re.DOTALL)
    assert found, name
    return found[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_every_public_name_has_an_entry_with_its_text_and_arguments(site, name):
    module, text = importlib.import_module(name), page(site, name)
    for each in module.__all__:
        found = getattr(module, each)
        if inspect.ismodule(found):
            assert f'{found.__name__.rpartition(".")[2]}.html"' in text
            continue
        seen = entry(text, each)
        if inspect.isclass(found) or inspect.isfunction(found):
            first = re.split(r":(?:\w+):|``|`", inspect.getdoc(found) or "")[0].split("\n\n")[0]
            assert plain(first) in plain(seen)
        if inspect.isfunction(found):
            for argument in inspect.signature(found).parameters:
                assert f"<strong>{argument}:</strong>" in seen, (each, argument)


@pytest.mark.slow
def test_no_link_leads_nowhere(site):
    files = sorted(site.rglob("*.html"))
    anchors = {file: set(re.findall(r'\bid="([^"]+)"', text_of(file))) for file in files}
    broken, followed = [], 0
    for file in files:
        for link in re.findall(r'\bhref="([^"]*)"', text_of(file)):
            if re.match(r"\w+:", link):  # of the web, or an image in the page itself
                continue
            where, _, anchor = html.unescape(link).partition("#")
            target = (file.parent / where).resolve() if where else file
            followed += 1
            if not target.exists() or (anchor and anchor not in anchors[target]):
                broken.append((file.name, link))
    assert broken == []
    assert followed > 500


@pytest.mark.slow
def test_no_role_is_left_in_the_text(site):
    for file in site.rglob("*.html"):
        code = r'<div class="pdoc-code codehilite">.*?</div>'  # the source, where roles stand
        text = re.sub(code, "", text_of(file), flags=re.DOTALL)
        assert re.findall(r":(?:func|class|meth|mod|data|attr):.{20}", text) == []
        assert re.findall(r"<code>~[^<]*|``.{20}", text) == []
