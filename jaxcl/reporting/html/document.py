"""A page: its frame and style, and its parts, all text in them escaped."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from string import Template
from xml.etree import ElementTree

PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<main>
<h1>$title</h1>
$body
</main>
</body>
</html>
""")

STYLE = """\
:root { --ink: #1c1f24; --quiet: #59616b; --line: #d9dde2; --page: #ffffff; --raised: #f5f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --quiet: #a3abb5; --line: #3a414a; --page: #14171b; --raised: #1e2329; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p { margin: .4rem 0; } .quiet { color: var(--quiet); font-size: .87rem; }
pre { background: var(--raised); border: 1px solid var(--line); border-radius: 6px;
  padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; margin: .4rem 0; }
pre, code { font: .85rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { font-weight: 600; } thead th { color: var(--quiet); font-size: .87rem; }
td.text { white-space: pre-wrap; overflow-wrap: anywhere; }
table.numbers td, table.numbers thead th + th { text-align: right; white-space: nowrap; }
table.heat td { border: 2px solid var(--page); padding: .3rem .45rem; }
table.heat thead th + th { white-space: normal; overflow-wrap: anywhere; min-width: 4.3rem;
  max-width: 7rem; padding: .3rem .45rem; vertical-align: bottom; }
table.heat tbody th { white-space: nowrap; }
.cards { display: flex; flex-wrap: wrap; gap: .7rem; margin: 1rem 0; }
.card { background: var(--raised); border: 1px solid var(--line); border-radius: 8px;
  padding: .6rem .9rem; min-width: 10rem; }
.card b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.card span { color: var(--quiet); font-size: .87rem; }
.scale { display: flex; align-items: center; gap: .5rem; margin: .5rem 0; }
.scale i { width: 12rem; height: .7rem; border-radius: 3px; }
details { margin: .6rem 0; } summary { cursor: pointer; }
figure { margin: .6rem 0; overflow-x: auto; }
figure svg { max-width: 100%; height: auto; color: var(--ink); display: block; }
figure svg.whole { max-width: none; }
figure svg * { stroke-linejoin: round; }
figure svg text { fill: currentColor; font-family: system-ui, "DejaVu Sans", sans-serif; }
"""


def document(title: str, parts: Iterable[str]) -> str:
    """Returns a page.

    Args:
      title: as text.
      parts: of the page, in HTML.
    """
    return PAGE.substitute(title=escape(title), style=STYLE, body="\n".join(parts))


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "", text: str = ""
) -> str:
    """Returns a table, the first cell of each row its name.

    Args:
      head: names of the columns, or nothing.
      rows: texts of the cells.
      kind: class of the table.
      text: class of the cells.
    """
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = []
    for name, *cells in rows:
        made = "".join(f'<td class="{text}">{escape(cell)}</td>' for cell in cells)
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{made}</tr>')
    return frame(f"<thead><tr>{names}</tr></thead>" if head else "", lines, kind)


def frame(head: str, rows: Iterable[str], kind: str) -> str:
    """Returns a table of rows in HTML, which can be moved sideways where it is too wide."""
    body = "\n".join(rows)
    return f'<div class="wide"><table class="{kind}">{head}<tbody>\n{body}\n</tbody></table></div>'


def section(title: str, *parts: str) -> str:
    """Returns a section under a title; nothing if it has no parts."""
    made = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{made}\n</section>" if made else ""


def folded(title: str, *parts: str) -> str:
    """Returns what is shown once its title is clicked."""
    made = "\n".join(parts)
    return f"<details>\n<summary>{escape(title)}</summary>\n{made}\n</details>"


def remark(text: str) -> str:
    """Returns a remark."""
    return f'<p class="quiet">{escape(text)}</p>'


def picture(svg: bytes, name: str, about: str, *, whole: bool = False) -> str:
    """Returns a picture of Matplotlib's as a part of a page, with its ink and its letters.

    Args:
      svg: as a file.
      name: which no other picture of the page has; its parts are named after it.
      about: for those who do not see it.
      whole: whether it is moved sideways, not made smaller, where it is too wide.
    """
    root = ElementTree.fromstring(svg)
    for found in [(above, each) for above in root.iter() for each in above if "style" in each.tag]:
        found[0].remove(found[1])  # a style within a page would be that of the whole page
    for each in root.iter():
        each.tag = _plain(each.tag)
        each.attrib = {_plain(key): _own(key, text, name) for key, text in each.attrib.items()}
    root.attrib |= {"role": "img", "aria-label": about, **({"class": "whole"} if whole else {})}
    return f"<figure>\n{ElementTree.tostring(root, encoding='unicode')}\n</figure>"


def _plain(name: str) -> str:
    """A name without its namespace: in a page it needs none."""
    return name.rpartition("}")[2]


def _own(key: str, text: str, name: str) -> str:
    """An attribute: with names that are the picture's own, black as the page's ink."""
    if key == "id":
        return f"{name}-{text}"
    if key.endswith("href"):
        return text.replace("#", f"#{name}-", 1)
    text = re.sub("font-family: .*?sans-serif;? ?", "", text)
    return re.sub(r"#0{6}\b", "currentColor", text.replace("url(#", f"url(#{name}-"))
