"""Pages of runs: whole, escaped, from nowhere else, and right by hand."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from jaxcl.reporting.html import RunShown, comparison_page, run_page
from jaxcl.reporting.html.document import picture
from jaxcl.reporting.pictures import learning_curves, rendered
from jaxcl.reporting.pictures.style import cell_colours
from jaxcl.training.events import EpochEnded

ODD = '<b>&"x'
ESCAPED = "&lt;b&gt;&amp;&quot;x"
TASKS = [ODD, "$y^2$", "id=#000000"]
MATRIX = [[90.0, None, None], [80.0, 70.0, None], [85.0, 40.0, 60.0]]
CONFIG = 'scenario = "<s>"\nseeds = [0, 1]\n\n[method]\nname = "&m"\n'
VOID = {"meta", "link", "br", "img"}


def summary(method=ODD, matrices=(MATRIX, MATRIX), tasks=TASKS, **changes):
    seeds = list(range(len(matrices)))
    value = {"mean": 61.25, "sem": 0.5}
    names = ("average", "learning", "within_task")
    found = {f"{name}_accuracy": value for name in names}
    found |= dict.fromkeys(("forgetting", "backward_transfer", "forward_transfer"), value)
    route = {"conv1": ODD, "<l>": ODD}
    routes = {ODD: route, "$y^2$": {"conv1": ODD, "<l>": "$y^2$"}, "id=#000000": route}
    return {
        **found, "method": method, "replay": None, "scenario": "<s>", "setting": "task",
        "validation": 0.0, "seeds": seeds, "tasks": tasks, "accuracy": list(matrices),
        "weights": [{"total": 9, "heads": 3, "added": 0} for _ in seeds],
        "routes": [routes for _ in seeds], "state_bytes": [{ODD: 4} for _ in seeds],
        "task_seconds": [{ODD: 2.0} for _ in seeds], "plasticity": None, "seconds": 4.0,
        "compile_seconds": 1.0, "config": CONFIG, "argv": ["<p>.py"],
        "machine": {"cores": 2, "cpu": "<x>", "memory": None, "accelerator": None},
        "versions": {"jax": "<1>"}, "git": "abc+",
    } | changes  # fmt: skip


def epochs(seeds=2):
    rows = [dict(zip(TASKS, row, strict=True)) for row in MATRIX]
    found = [{task: x for task, x in row.items() if x is not None} for row in rows]
    return [
        EpochEnded(None, seed, task, 0, "train", {"loss": 1.0}, accuracy, 1.0)
        for seed in range(seeds)
        for task, accuracy in enumerate(found)
    ]


def shown(name="runs/<n>", command="jaxcl scenario --data '<d>'", changed=None, **changes):
    return RunShown(name, summary(**changes), epochs(), changed, command)


class Parsed(HTMLParser):
    """Elements, which must be closed in order, their attributes, and all text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def one():
    changed = {"<c>": ("<u>", "<h>")}
    return run_page(shown(changed=changed))


def several():
    return comparison_page([shown(), shown("runs/<o>"), shown("x", method="si")])


@pytest.mark.parametrize("make", [one, several])
def test_a_page_is_whole_and_has_nothing_from_elsewhere(make):
    page = make()
    parsed = Parsed(page)
    assert "http" not in page
    assert not {"script", "img", "iframe", "object", "b>", "s"} & set(parsed.tags)
    assert not [name for name, _ in parsed.attributes if name.startswith("on") or name == "src"]
    links = [value for name, value in parsed.attributes if name.endswith("href")]
    ids = [value for name, value in parsed.attributes if name == "id"]
    assert len(set(ids)) == len(ids)
    assert all(link == "data:," or link[1:] in ids for link in links)
    clips = re.findall(r"url\(#([^)]*)\)", page)
    assert clips
    assert set(clips) <= set(ids)
    for found in re.findall(r"@import|url\((?!#)", page):
        raise AssertionError(found)


@pytest.mark.parametrize("make", [one, several])
def test_all_names_are_text(make):
    page = make()
    parsed = Parsed(page)
    assert parsed.tags.count("b") == (4 if make is one else 0)  # those of the four cards
    text = "".join(parsed.text)
    for name in (*TASKS, "<s>", "&m") if make is one else (*TASKS, "<s>"):
        assert name in text
    assert "runs/<n>" in text
    if make is one:
        for name in (
            "<c>",
            "<u>",
            "<h>",
            "<1>",
            "<l>",
            "2 cores of <x>",
            "jaxcl scenario --data '<d>'",
            "abc+",
        ):
            assert name in text
    assert ESCAPED in page
    assert f"<title>{ESCAPED} on scenario &lt;s&gt; (task)</title>" in page or make is several


def heat_tables(page):
    """Of each matrix of accuracies, its source and the texts of its cells."""
    for part in page.split('class="numbers heat"')[1:]:
        table = part[: part.index("</table>")]
        rows = re.findall("<tr>(.*?)</tr>", table, re.DOTALL)[1:]
        cells = [re.findall("<td.*?</td>", row) for row in rows]
        yield table, [[re.sub("<.*?>", "", cell) for cell in row] for row in cells]


MEANS = [
    ["90.0 ± 0.0", "80.0 ± 0.0", "85.0 ± 0.0"],
    ["", "70.0 ± 0.0", "40.0 ± 0.0"],
    ["", "", "60.0 ± 0.0"],
]


def test_a_matrix_by_hand():
    ((table, cells),) = heat_tables(run_page(shown()))
    assert cells == MEANS
    background, ink = cell_colours(70.0)
    assert f'style="background:{background};color:{ink}">70.0' in table


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_colours_get_lighter_with_accuracy_and_can_be_read():
    light = []
    for percent in range(101):
        back, ink = (luminance(colour) for colour in cell_colours(float(percent)))
        light.append(back)
        assert (max(back, ink) + 0.05) / (min(back, ink) + 0.05) > 4.5  # WCAG 2, level AA
    assert light == sorted(light)


def test_branches_are_shown_where_there_are_some():
    assert 'aria-label="which layer' in run_page(shown())
    alone = {"conv1": ODD}
    assert 'aria-label="which layer' not in run_page(
        shown(routes=[{ODD: alone, "$y^2$": alone}] * 2)
    )


def test_pictures_are_text_and_lines_in_the_ink_of_the_page():
    curves = {name: [[50.0, 60.0], [70.0, 80.0]] for name in TASKS}
    drawn, again = (rendered(learning_curves(curves, [1, 1, 2], "$t^2$"), "svg") for _ in range(2))
    assert drawn == again
    one, two = (picture(drawn, name, ODD) for name in ("one", "two"))
    ids = set(re.findall('id="([^"]*)"', one))
    assert not ids & set(re.findall('id="([^"]*)"', two))
    text = "".join(Parsed(one).text)
    for name in (*TASKS, "$t^2$", "epoch"):
        assert name in text
    assert "currentColor" in one
    assert not re.search('="[^"]*#000000', one)


def test_names_that_are_no_formulas_are_drawn():
    title = "$t^$"
    for form in ("png", "svg", "pdf"):
        assert rendered(learning_curves({"$y^$": [[50.0]]}, [1], title), form)


def test_what_a_run_lacks_is_said():
    page = run_page(RunShown("x", summary(), [], None, None))
    assert "metrics.jsonl is not there" in page
    assert "it was made by: &lt;p&gt;.py" in page
    assert "What is usual is not known here" in page
    assert "All are those that are usual" in run_page(shown(changed={}))


def test_many_tasks_are_shown_in_short():
    tasks = [f"t{i}" for i in range(25)]
    matrix = [[50.0 if j <= i else None for j in range(25)] for i in range(25)]
    routes = [{task: {} for task in tasks}]
    page = run_page(
        RunShown("x", summary(matrices=[matrix], tasks=tasks, routes=routes), [], {}, "c")
    )
    assert "(5 more)" in page
    assert "<td" in page[page.index("(5 more)") : page.index("t24")]


def test_runs_whose_newest_task_alone_was_tested_are_compared():
    """Cells of tasks that were not tested are empty, and a curve ends where its mean does."""
    matrix = [[90.0, None, None], [None, 70.0, None], [None, None, 60.0]]
    page = comparison_page([shown(matrices=[matrix]), shown()])
    newest = [["90.0", "", ""], ["", "70.0", ""], ["", "", "60.0"]]
    assert [cells for _, cells in heat_tables(page)] == [newest, MEANS]
    drawn = page[page.index("<svg") : page.index("</svg>")]
    text = "".join(Parsed(drawn + "</svg>").text)
    assert all(f"{ODD} · runs/<n> ({i})" in text for i in (1, 2))
    lines = [re.findall("[ML] ", path) for path in re.findall('<path d="(M [^"]*)" clip', drawn)]
    assert ["M "] in lines  # of the first run the mean over the first task alone
    assert ["M ", "L ", "L "] in lines
    assert "nan" not in drawn


def test_axes_of_numbers_name_what_is_measured():
    numbers = CONFIG.replace("\n[method]", '\n[training]\nloss = "squared"\n\n[method]')
    for config, measure in ((CONFIG, "accuracy"), (numbers, "R²")):
        run = shown(config=config)
        assert f">test {measure} (%)<" in run_page(run)
        assert f">average {measure} so far (%)<" in comparison_page([run, run])


def test_labels_and_what_differs():
    text = "|".join(Parsed(several()).text)
    assert f"{ODD} · runs/<n>" in text
    assert f"{ODD} · runs/<o>" in text
    assert "|si|" in text
    assert "No setting." in text
    other = summary()["config"].replace("[0, 1]", "[0, 2]")
    page = comparison_page([shown(), shown("x", config=other), shown("x")])
    assert re.search("seeds</th><td[^>]*>0 1</td><td[^>]*>0 2</td><td[^>]*>0 1<", page)
    assert f"{ESCAPED} · x (3)" in page


@pytest.mark.slow
def test_a_browser_has_nothing_to_say(tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")

    def said(page):
        (tmp_path / "page.html").write_text(page, encoding="utf-8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
        command += ["--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"]
        command.append((tmp_path / "page.html").as_uri())
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert "</main>" in done.stdout
        return [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    assert said(one().replace("</main>", "<script>console.error(1)</script></main>"))
    assert said(one()) == []
    assert said(several()) == []
