"""The tutorials run as notebooks, pictures included, and as they stand."""

import os
import re
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

TUTORIALS = Path(__file__).parents[2] / "experiments" / "tutorials"
NAMES = sorted(path.stem for path in TUTORIALS.glob("*.py"))
# Tutorial -> how many pictures it has, and what it says (a pattern).
SAID = {
    "1_first_run": (3, r"(8|9)\d\.\d% of 300 test images are right(.|\n)*average accuracy"),
    "2a_your_own_loop_linen": (1, r"without +: first task [4-7]\d(.|\n)*with EWC *: first task 8"),
    "2b_your_own_loop_nnx": (1, r"without +: first task [4-7]\d(.|\n)*with replay: first task 8"),
    "2c_your_own_loop_equinox": (1, r"without +: 4\d\.\d %(.|\n)*with both: [89]\d\.\d %"),
    "3_your_own_data": (2, r"'digits-8-9'\](.|\n)*predicted \[\d"),
    "4_your_own_network": (1, r"'conv2': 'photos'(.|\n)*digits after all three tasks: [6-9]\d"),
    "5_your_own_method": (1, r"Result\(pull_back, 3 tasks: average accuracy 7"),
    "6_why_ewc_fails_by_class": (2, r"by class +average accuracy (19|20)(.|\n)*mask: 9\d\.\d%"),
    "7_many_seeds_and_strengths": (2, r"16 together(.|\n)*best strength 10+\b"),
    "8_generative_replay": (2, r"generative replay average accuracy [6-9]\d"),
}


def executed(name: str, folder: Path):
    """The notebook of a tutorial after a kernel has run it in a folder."""
    notebook = jupytext.read(TUTORIALS / f"{name}.py")
    ours = "DISPLAY", "MPLBACKEND"  # pictures are inline, as a reader has them
    env = {key: value for key, value in os.environ.items() if key not in ours}
    env["PYTHONPATH"] = f"{TUTORIALS.parents[1]}{os.pathsep}{env.get('PYTHONPATH', '')}"
    where = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=600, resources=where, coalesce_streams=True)
    return client.execute(env=env)  # an error in a cell is raised here


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of the kernel's client are not ours
@pytest.mark.parametrize("name", NAMES)
def test_a_tutorial_runs_as_a_notebook_and_shows_its_pictures(name, tmp_path):
    cells = executed(name, tmp_path).cells
    outputs = [each for cell in cells for each in cell.get("outputs", [])]
    said = "".join(each["text"] for each in outputs if each.get("name") == "stdout")
    pictures = [each for each in outputs if "image/png" in each.get("data", {})]
    expected, pattern = SAID[name]
    assert len(pictures) == expected
    assert re.search(pattern, said), said
    # Each line of progress is no output of its own, and no warning was shown.
    assert len(outputs) < 30
    assert "Warning" not in "".join(each["text"] for each in outputs if "text" in each)


def test_a_tutorial_is_a_short_notebook_and_stands_in_the_table():
    assert sorted(SAID) == NAMES
    table = (TUTORIALS / "README.md").read_text()
    for name in NAMES:
        path = TUTORIALS / f"{name}.py"
        text = path.read_text()
        assert len(text.splitlines()) < 100, name
        assert jupytext.guess_format(text, ".py")[0] == "percent"
        cells = jupytext.read(path).cells
        assert cells[0].cell_type == "markdown"
        assert cells[0].source.startswith(f"# {name.partition('_')[0]}. ")
        for cell in cells:
            if cell.cell_type == "code":
                compile(cell.source, name, "exec")
        assert f"]({name}.py)" in table


def test_the_parts_that_a_reader_copies_are_short():
    """A method of one's own in 40 lines, and in 5 what makes a module a network with a name."""
    method = (TUTORIALS / "5_your_own_method.py").read_text()
    own = method[method.index("@jaxcl.register_method") :]
    assert len(own[: own.index("# %%")].strip().splitlines()) <= 40
    network = (TUTORIALS / "4_your_own_network.py").read_text()
    named = network[network.index("@jaxcl.register_network") :]
    assert len(named[: named.index("# %%")].strip().splitlines()) <= 5
