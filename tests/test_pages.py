"""The pages: their code runs, their commands are known, their links and lists are true."""

import re
import shlex
import tomllib
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import jaxcl.transforms as t
from jaxcl.experiments import compare, prepare, reproduce, scenario, show, sweep
from jaxcl.experiments.command_line.cli import ranges
from jaxcl.learner.settings.protocols import SCENARIOS
from jaxcl.methods import METHODS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [
    page
    for folder in (ROOT, ROOT / "jaxcl", ROOT / "experiments", ROOT / "launch")
    for page in sorted(folder.glob("*.md" if folder == ROOT else "**/*.md"))
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
COMMANDS = {
    "compare": compare, "prepare": prepare, "reproduce": reproduce, "scenario": scenario,
    "show": show, "sweep": sweep,
}  # fmt: skip


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.M | re.S)
    return [text for named, text in found if named == language]


def own_loop() -> tuple[str, dict]:
    (code,) = [block for block in blocks(README, "python") if "jaxcl.transforms" in block]
    return code, {}


def percents(printed: str) -> list[int]:
    return [int(figure) for figure in re.findall(r"(\d+) %", printed)]


def resets_all(state, step):
    params = step.after
    return t.WithReset(state, t.Reset(jnp.ones_like(params, bool), jnp.full_like(params, 7)))


def test_the_loop_of_the_readme_gives_what_it_says(capsys):
    code, names = own_loop()
    exec(code, names)
    exec(code.replace("strength=20.0", "strength=0.0"), {})
    kept, plain = map(percents, capsys.readouterr().out.splitlines())
    said = re.search(
        r"^This prints `(.*?)`; with `strength=0.0` it is `(.*?)`", README.read_text(), re.M
    )
    assert said is not None
    for found, stated in ((kept, percents(said[1])), (plain, percents(said[2]))):
        assert found == pytest.approx(stated, abs=2)


def test_the_code_of_the_page_of_transforms_runs_after_that_loop(capsys):
    code, names = own_loop()
    exec(code.replace("range(300)", "range(3)"), names)
    loss = lambda outputs, batch: (outputs**2).mean()  # noqa: E731
    names |= {"batch": names["tasks"][0], "loss_of": loss, "training": names["forward"], **vars(t)}
    fit, reset = blocks(ROOT / "jaxcl/transforms/README.md", "python")
    exec(fit, names)
    assert names["stats"] is None
    assert np.array_equal(names["after"], names["params"] + names["updates"])
    names["transform"] = names["transform"]._replace(update=resets_all)
    exec(reset, names)
    assert (np.asarray(names["params"]) == 7).all()
    moments = names["opt"][0].mu
    assert (np.asarray(moments) == 0).all()


@pytest.mark.slow
def test_the_first_example_of_the_readme_gives_what_it_says(capsys, tmp_path, monkeypatch):
    (code,) = [block for block in blocks(README, "python") if "jaxcl.fit" in block]
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code, names)
    assert capsys.readouterr().out.rstrip().endswith("[0 1 2 3 4]")
    (said,) = [block for block in blocks(README, "") if block.startswith("[[")]
    table = [[float(word) for word in row.split()] for row in re.findall(r"\[+([\d. na]+)", said)]
    np.testing.assert_allclose(names["result"].accuracy.mean(0), table[:-1], rtol=0, atol=3)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    page = ROOT / name
    text = re.sub(r"`[^`\n]*`|^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for link in re.findall(r'(?:\]\(|src="|srcset=")([^)"\s]+)', text):
        if link.startswith(("http://", "https://")):
            continue
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.+)$", target.read_text(), re.M)
            slugs = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
            assert anchor in slugs, link


@pytest.mark.parametrize("name", NAMES)
def test_commands_can_be_read(name):
    """Every command of a page has options that are known; comments and variables are left out."""
    for block in blocks(ROOT / name, "sh"):
        lines = block.replace("\\\n", " ").splitlines()
        for words in (shlex.split(line.split(" &")[-1], comments=True) for line in lines):
            line = " ".join(words)
            found = re.search(r"(?:python3? -m jaxcl\.experiments\.|^jaxcl )(\w+)(.*)", line)
            known = found is not None and found[1] in COMMANDS
            if known and not re.search(r"[$]|--plugin|--resume$", line):
                COMMANDS[found[1]].read(ranges(shlex.split(found[2])))


def test_the_readme_is_short_and_names_every_method():
    text = README.read_text()
    assert len(text.splitlines()) <= 250
    methods = (ROOT / "jaxcl/methods/README.md").read_text()
    for name in METHODS:
        assert f"`{name}`" in text, name
        assert f"`{name}`" in methods, name


def test_the_page_of_scenarios_names_each():
    text = (ROOT / "jaxcl/scenarios/README.md").read_text()
    numbered = {f"{n}{kind}" for n in range(1, 7) for kind in ("", "-rendered")}  # "`1` to `6`"
    assert [name for name in SCENARIOS if f"`{name}`" not in text and name not in numbered] == []


def test_the_badges_say_what_the_package_says():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    badges = "".join(re.findall(r"img\.shields\.io/badge/\S+", README.read_text()))
    assert project["license"].replace("-", "--") in badges
    for line in project["classifiers"]:
        version = re.fullmatch(r"Programming Language :: Python :: (\d\.\d+)", line)
        assert version is None or version[1] in badges
    (jax,) = [each for each in project["dependencies"] if each.startswith("jax>")]
    assert f"JAX-%E2%89%A5%20{jax.removeprefix('jax>=')}" in badges
