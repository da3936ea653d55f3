"""Each page of results is what its script makes of the recorded summaries."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from jaxcl.experiments import reproduce
from jaxcl.experiments.reproduce import tables_of
from jaxcl.learner.build import check_config
from jaxcl.reporting.metrics import mean_sem

ROOT = Path(__file__).parents[2] / "experiments"
FOLDERS = sorted(script.parent.name for script in ROOT.glob("*/results.py"))
README = ROOT.parent / "README.md"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "results.py"))


@pytest.fixture(scope="module")
def sections(script):
    return script["sections"]()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_page_can_be_made_again(folder, monkeypatch, tmp_path):
    made = tmp_path / folder
    shutil.copytree(ROOT / folder, made, ignore=shutil.ignore_patterns("__pycache__"))
    (made / "RESULTS.md").unlink()
    monkeypatch.setattr(sys, "argv", ["results.py", str(tmp_path / "no-runs")])
    runpy.run_path(str(made / "results.py"), run_name="__main__")
    assert (made / "RESULTS.md").read_text() == (ROOT / folder / "RESULTS.md").read_text()


@pytest.mark.parametrize("folder", ["lwf-select", "lwf-select/rendered"])
def test_the_tables_of_path_selection_can_be_made_again(folder):
    tables = tables_of("lwf-select")
    results = json.loads((ROOT / folder / tables.RESULTS).read_text())
    assert tables.table_4(results) == (ROOT / folder / tables.TABLE_4_FILE).read_text()
    assert tables.table_5(results) == (ROOT / folder / tables.TABLE_5_FILE).read_text()


@pytest.mark.parametrize("rendered", [False, True])
def test_recorded_runs_of_path_selection_are_gone_on_with(rendered):
    """A setting that is new has to be written into the recorded runs, with its default."""
    tables = tables_of("lwf-select")
    folder = ROOT / "lwf-select/rendered" if rendered else ROOT / "lwf-select"
    results = json.loads((folder / tables.RESULTS).read_text())
    names = sorted({each["scenario"] for each in results})
    options = ["--limit", "4000"] if rendered else []
    for config in reproduce.read(["--scenarios", *names, *options]).configs.values():
        tables.check_same(results, tables.settings(check_config(config)))


def test_ablations_are_compared_seed_by_seed():
    made = runpy.run_path(str(ROOT / "lwf-select/ablations.py"))

    def point(values, *, known=True, **varied):
        found = {name: mean_sem(values) for name in made["FIGURES"]}
        of_seeds = dict.fromkeys(found, values)
        found |= {"point": varied, "final": {}, "weights": [{"added": 0}], "seeds": [0, 1]}
        return found | ({"of_seeds": of_seeds} if known else {})

    base = point([70.0, 80.0], lr=1e-3)
    others = [
        point([71.0, 81.1], start="fresh"),  # far within the error of each alone
        point([69.0, 81.0], temperature=1),
        point([70.0, 80.0], threshold=0.9),
        point([70.0, 81.0], known=False, l2=0.0),  # recorded before seeds were kept
    ]
    table, said = made["page"]({"base": [base], "some": others}).split("\n- ", 1)
    assert "| start | fresh | 76.05 ± 5.05 | 1.05 ± 0.05 |" in table
    assert "| l2 | 0 | 75.50 ± 5.50 | 0.50 |" in table
    lines = said.splitlines()
    assert lines[0] == "Gives the very same figures: `threshold=0.9`."
    assert lines[1].startswith("- Makes no difference that the seeds show")
    assert [text.split(": ")[1] for text in lines[1:4]] == [
        *("`temperature=1`.", "`start=fresh`.", "`l2=0`.")
    ]


def test_the_figure_of_the_readme_is_made_of_what_was_recorded():
    """Each line ends at the mean over the seeds, and the recorded files say so."""
    made = runpy.run_path(str(ROOT / "builtin/figure.py"))
    found = {method: made["summary"](None, method) for method in made["METHODS"]}
    drawn = made["figure"](found, made["PAGES"]["light"])
    for axes, task in zip(drawn.axes, found["select"]["tasks"], strict=True):
        for line, each in zip(axes.lines, found.values(), strict=True):
            assert line.get_ydata()[-1] == pytest.approx(each["final"][task]["mean"], abs=0.01)
    for name in made["PAGES"]:
        kept = (ROOT / f"builtin/figure-{name}.svg").read_text()
        for axes in drawn.axes:
            assert all(f">{text.get_text()}</text>" in kept for text in axes.texts)


def test_the_page_of_claims_and_the_tables_of_the_readme_can_be_made_again(script, sections):
    assert script["page"](sections) == script["PAGE"].read_text()
    assert script["with_tables"](README.read_text(), sections) == README.read_text()


def test_the_table_of_the_readme_is_short(sections):
    assert 1 <= sum(claim.headline for each in sections for claim in each.claims) <= 12


def test_every_link_of_the_page_leads_somewhere(sections):
    links = {claim.place.link for each in sections for claim in each.claims}
    assert [link for link in links if not (ROOT / link).is_file()] == []


@pytest.mark.parametrize(
    "marks", ["", "<!-- results -->\n", "<!-- /results -->\n<!-- results -->\n"]
)
def test_a_readme_without_its_marks_is_refused(marks, script):
    with pytest.raises(ValueError, match="must stand there once"):
        script["with_table"](f"# Title\n{marks}", "results", "")


def test_what_stands_around_the_marks_stays(script):
    made = script["with_table"]("a\n<!-- x -->\nold\n<!-- /x -->\nb\n", "x", "new")
    assert made == "a\n<!-- x -->\n\nnew\n\n<!-- /x -->\nb\n"
