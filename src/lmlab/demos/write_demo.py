"""Write a demo as Markdown, an HTML page, and figures."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, StrictUndefined

from lmlab.demos import CONTENTS_FILE, Demo
from lmlab.storage.io import atomic_write_text, write_json
from lmlab.study.figure_style import save, themed_svg
from lmlab.study.index_page import write_summary
from lmlab.study.markdown import table_lines
from lmlab.study.markdown_wrap import wrap_markdown
from lmlab.study.page import STYLE

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ demo.title }}</title><link rel="icon" href="data:,">
<style>{{ style|safe }}
pre { background: var(--raised); border: 1px solid var(--line); border-radius: .4rem;
padding: .8rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }</style></head>
<body><main><header><p class="kicker">study {{ demo.title }}</p>
<h1>{{ demo.question }}</h1></header>
{% for section in demo.sections %}<section><h2>{{ section.heading }}</h2>
{% for text in section.text %}<p>{{ text }}</p>{% endfor %}
{% if section.figure %}<div class="scroll figure" tabindex="0" role="region"
aria-label="figure: {{ section.heading }}">{{ figures[section.figure[0]]|safe }}</div>{% endif %}
{% if section.columns %}<div class="scroll" tabindex="0" role="region"
aria-label="{{ section.heading }}"><table><thead><tr>
{% for column in section.columns %}<th>{{ column }}</th>{% endfor %}</tr></thead><tbody>
{% for row in section.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>{% endif %}
{% for title, text in section.blocks %}<h3>{{ title }}</h3><pre>{{ text }}</pre>{% endfor %}
</section>{% endfor %}
<section><h2>Limitations</h2><ul>
{% for line in demo.limits %}<li>{{ line }}</li>{% endfor %}</ul>
<h2>Command</h2><p><code>{{ command }}</code></p></section></main></body></html>
"""


def write_demo(demo: Demo, folder: Path, command: str) -> list[Path]:
    """Write ``report.md``, ``report.html``, figures, and ``exhibit.json``, which lists them.

    The same demo gives the same bytes. Returns the paths in this order.
    """
    lines = [f"# {demo.title}\n", f"{demo.question}\n"]
    svg_by_name, figure_paths = {}, []
    for section in demo.sections:
        lines.append(f"## {section.heading}\n")
        lines += [f"{text}\n" for text in section.text]
        if section.figure is not None:
            name, figure = section.figure
            figure_paths += save(figure, folder / name)
            svg_by_name[name] = themed_svg(figure)
            lines.append(f"![{name}]({name}.png)\n")
        if section.columns:
            lines += table_lines(section.columns, section.rows)
        for title, text in section.blocks:
            indented = "\n".join(f"    {line}" for line in text.splitlines())
            lines.append(f"{title}:\n\n{indented}\n")
    lines += ["## Limitations\n", *(f"- {line}" for line in demo.limits), ""]
    lines += [f"## Command\n\n    {command}"]
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(_PAGE)
    html = page.render(demo=demo, style=STYLE, figures=svg_by_name, command=command)
    paths = [folder / "report.md", folder / "report.html", *figure_paths]
    atomic_write_text(paths[0], wrap_markdown("\n".join(lines)) + "\n")
    atomic_write_text(paths[1], html)
    contents = {"title": demo.title, "command": command, "files": [path.name for path in paths]}
    write_json(folder / CONTENTS_FILE, contents)
    write_summary(
        {
            "study": demo.title, "title": demo.title, "question": demo.question, "headline": [],
            "counts": {}, "finished": True, "generated": "",
        },
        folder,
    )  # fmt: skip
    return [*paths, folder / CONTENTS_FILE]
