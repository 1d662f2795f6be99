"""A report as Markdown, from the same content as the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lmlab.console.formatting import format_count
from lmlab.study.figure_captions import figure_caption
from lmlab.study.links import LOCAL_FILES, Links
from lmlab.study.markdown_wrap import wrap_markdown
from lmlab.study.plain_text import Markdown, cell, code_block, inline, paragraph
from lmlab.study.reused_runs import SAME_RUNS
from lmlab.study.verdicts import BASELINE_RATE, DESCRIPTIVE, arm_phrase

_NO_LINKS = Links()


def render_markdown(
    content: dict[str, Any], figures: Sequence[str], links: Links = _NO_LINKS
) -> str:
    """Render the report as Markdown.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.
        figures: names of PNG files beside it.
        links: what the report links to.
    """
    return wrap_markdown("\n".join(_lines(content, figures, links))).rstrip() + "\n"


def _lines(content: dict[str, Any], figures: Sequence[str], links: Links) -> Iterator[str]:
    yield f"# {inline(content['title'])}\n"
    if content["question"]:
        yield f"{paragraph(content['question'])}\n"
    yield from _items(content["headline"])
    counts = ", ".join(f"{n} {state}" for state, n in content["counts"].items() if n)
    yield f"\nRuns: {counts or 'none'}.\n"
    yield from _link_lines(links, len(content["runs"]))
    if content["verdicts"]:
        yield "## Verdicts\n"
        yield from _verdict_tables(content)
        yield from _items(content["verdict_notes"])
        yield ""
        for metric in content["metrics"]:
            yield f"### {inline(metric['title'])}\n"
            yield from table_lines(*_emphasized_table(metric["rows"], metric["baseline"], "mean"))
            yield from _items(metric["notes"])
            yield ""
    yield from section_lines(content["sections"], figures)
    figures = [one for one in figures if not _is_of_section(one, content["sections"])]
    for name in figures:
        yield f"![{name.removesuffix('.png')}]({name})\n"
        if note := figure_caption(name, content):
            yield f"{paragraph(note)}\n"
    if content["sweep"]["rows"]:
        yield "## Results of the sweep\n"
        yield from table_lines(*sweep_table(content))
    for title, section in (("Probes", content["probes"]), ("Tasks", content.get("tasks"))):
        if section:
            yield f"## {title}\n"
            yield from table_lines(section["columns"], section["rows"])
            yield from (f"{paragraph(note)}\n" for note in section["notes"])
    if any(arm["best_lr"] for arm in content["arms"]):
        yield "## Learning rates\n"
        yield from (f"{paragraph(note)}\n" for note in content["rate_notes"])
        yield from _rate_table(content)
    if content["setup"]:
        yield "## Setup\n"
        yield from table_lines(["", ""], content["setup"])
    yield from _cost_sections(content)
    if content["noise"]:
        yield "## Noise and decision rule\n"
        yield from _items(content["noise"])
        yield ""
    if content["problems"]:
        yield from _problem_section(content["problems"], links)
    if content.get("annotations"):
        yield "## Notes\n"
        columns = ["arm", "seeds", "notes", "tags"]
        rows = [[row[column] for column in columns] for row in content["annotations"]]
        yield from table_lines(columns, rows)
    if content["commands"]:
        yield "## Commands\n"
        for row in content["commands"]:
            yield f"{inline(row['label'].capitalize())}:\n\n{code_block(row['command'])}\n"
        for arm in content["arms"]:
            for command in arm["commands"][:1]:
                name = inline(arm_phrase(arm["name"]))
                yield f"One run of {name}:\n\n{code_block(command)}\n"
    if content["limits"]:
        yield "## Limitations\n"
        yield from _items(content["limits"])
        yield ""
    if content["glossary"]:
        yield "## Glossary\n"
        yield from (
            f"- **{inline(term)}**: {inline(meaning)}" for term, meaning in content["glossary"]
        )
        yield ""
    if content["environment"]:
        yield "## Environment\n"
        yield from table_lines(["", ""], content["environment"])


def _problem_section(problems: Sequence[dict[str, Any]], links: Links) -> Iterator[str]:
    """Yield the runs without a final loss."""
    yield "## Runs without a final loss\n"
    rows = [
        [row["arm"], number_text(row["lr"]), str(row["seed"]), row["status"], row["reason"],
         row["log"]]
        for row in problems
    ]  # fmt: skip
    yield from table_lines(["arm", "lr", "seed", "status", "reason", "log"], rows)
    if links.is_published:
        yield f"{LOCAL_FILES}\n"


def _items(lines: Sequence[str]) -> Iterator[str]:
    """Yield the items of a list."""
    return (f"- {paragraph(line)}" for line in lines)


def section_lines(sections: Sequence[dict[str, Any]], figures: Sequence[str]) -> Iterator[str]:
    """Yield sections with ``heading``, ``figures``, ``tables`` and ``notes``."""
    for section in sections:
        yield f"## {section['heading']}\n"
        for name in section["figures"]:
            if f"{name}.png" in figures:
                yield f"![{name}]({name}.png)\n"
        for table in section["tables"]:
            if table["label"].lower() != section["heading"].lower():
                yield f"{inline(table['label'][0].upper() + table['label'][1:])}:\n"
            yield from table_lines(table["columns"], table["rows"])
        yield from (f"{paragraph(note)}\n" for note in section["notes"])


def _is_of_section(name: str, sections: Sequence[dict[str, Any]]) -> bool:
    shown = [figure for section in sections for figure in section["figures"]]
    return name.removesuffix(".png") in shown


def _cost_sections(content: dict[str, Any]) -> Iterator[str]:
    """Yield what the arms cost, how they are configured, and what preflight predicted."""
    if content["costs"]["rows"]:
        yield "## Cost and data of the arms\n"
        yield from table_lines(content["costs"]["columns"], content["costs"]["rows"])
        yield from (f"{paragraph(note)}\n" for note in content["costs"]["notes"])
    if any(arm["overrides"] or arm["differences"] for arm in content["arms"]):
        yield "## Configuration of the arms\n"
        yield from _configuration_table(content)
    if content["prediction_accuracy"]["rows"]:
        yield "## Predicted and actual cost\n"
        yield from table_lines(
            content["prediction_accuracy"]["columns"], content["prediction_accuracy"]["rows"]
        )


def _link_lines(links: Links, num_runs: int) -> Iterator[str]:
    """List the files beside the report, and the studies whose runs it reuses."""
    files = [
        f"[{inline(label)}]({name})" for label, name in links.files if not name.endswith(".md")
    ]
    if links.index:
        files.append(f"[all studies]({links.index})")
    if files:
        yield f"Files: {', '.join(files)}.\n"
    if links.studies:
        reused = [
            f"{f'[{inline(name)}]({address})' if address else inline(name)} "
            f"({format_count(number, 'run')})"
            for name, number, address in links.studies
        ]
        if sum(number for _, number, _ in links.studies) == num_runs:
            names = [text.rpartition(" (")[0] for text in reused] if len(reused) == 1 else reused
            yield (
                f"All {format_count(num_runs, 'run')} are reused from {', '.join(names)}: "
                f"{SAME_RUNS}\n"
            )
        else:
            yield f"Reused from other studies: {', '.join(reused)}.\n"
    for sweep, command, address in links.sweeps:
        yield (
            f"Not in this report: [{inline(sweep)}]({address}). Report it with:\n\n"
            f"{code_block(command)}\n"
        )


def sweep_table(content: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of the results of a plain sweep, the lowest loss first."""
    columns = [
        *content["sweep"]["keys"],
        f"final loss ({content['unit']})",
        "sd",
        "seeds",
        "status",
    ]
    rows = [
        [
            *row["values"],
            _loss(row["mean"]),
            _loss(row["sd"]),
            str(row["seeds"]),
            row["status"],
        ]
        for row in content["sweep"]["rows"]
    ]
    return columns, rows


def _verdict_tables(content: dict[str, Any]) -> Iterator[str]:
    rows = content["verdicts"]
    for at in dict.fromkeys(row["at"] for row in rows):
        is_descriptive = at == BASELINE_RATE
        yield (
            f"Each arm at {content['rate_names'][at]}"
            f"{' (descriptive, no verdicts)' if is_descriptive else ''}:\n"
        )
        rows_at = [row for row in rows if row["at"] == at]
        columns, cells = _emphasized_table(rows_at, content["baseline"], "mean loss")
        if is_descriptive:
            columns, cells = _without_verdicts(columns, cells, rows_at)
        if any(row["tokens_to_match"] for row in rows_at):
            columns.append("tokens to match")
            tokens = [row["tokens_to_match"] for row in rows_at]
            tokens = ["" for _ in range(len(cells) - len(tokens))] + tokens
            cells = [[*known, one] for known, one in zip(cells, tokens, strict=True)]
        yield from table_lines(columns, cells)


def verdict_table(
    rows: Sequence[dict[str, Any]], baseline: dict[str, Any] | None, mean: str
) -> tuple[list[str], list[list[str]]]:
    """Return columns and cells of a table of verdicts.

    Args:
        rows: of :func:`lmlab.study.verdict_section.verdict_row`.
        baseline: of :func:`lmlab.study.verdict_section.baseline_row`; its row is the first.
        mean: head of the column of means.
    """
    columns = ["arm", "lr", "seeds", mean, "sd", "difference", "interval", "adjusted p", "verdict"]
    cells = [_verdict_cells(row) for row in rows]
    if baseline is not None:
        cells.insert(0, _baseline_cells(baseline))
    return columns, cells


def _emphasized_table(
    rows: Sequence[dict[str, Any]], baseline: dict[str, Any] | None, mean: str
) -> tuple[list[str], list[list[str]]]:
    """Return a table of verdicts in Markdown, with the labels in bold."""
    columns, cells = verdict_table(rows, baseline, mean)
    for row, own in zip(rows, cells[len(cells) - len(rows) :], strict=True):
        label = f"**{inline(row['shown_verdict'])}**"
        own[-1] = Markdown(f"{label}{inline(row['detail'] + _caution(row))}")
    return columns, cells


def _baseline_cells(row: dict[str, Any]) -> list[str]:
    return [
        row["arm"], number_text(row["lr"]), str(row["seeds"]), _loss(row["mean"]), _loss(row["sd"]),
        "0", "", "", f"baseline{row['detail']}{_caution(row)}",
    ]  # fmt: skip


def _verdict_cells(row: dict[str, Any]) -> list[str]:
    known = row["low"] is not None and row["high"] is not None
    return [
        row["arm"],
        number_text(row["lr"]),
        seeds_text(row),
        _loss(row["mean"]),
        _loss(row["sd"]),
        signed(row["difference"]),
        "; ".join(_interval(one) for one in (row, row["equivalence"]) if one) if known else "",
        _adjusted_p(row),
        f"{row['shown_verdict']}{row['detail']}{_caution(row)}",
    ]


def _without_verdicts(
    columns: Sequence[str], cells: Sequence[Sequence[str]], rows: Sequence[dict[str, Any]]
) -> tuple[list[str], list[list[str]]]:
    """Leave out p-value and verdict of a descriptive table; keep what else is to be said."""
    notes = ["" for _ in range(len(cells) - len(rows))] + [descriptive_note(row) for row in rows]
    named = [[*one[:-2]] for one in cells]
    if len(cells) > len(rows) and named[0][0] != "baseline":
        named[0][0] += " (baseline)"
    if not any(notes):
        return [*columns[:-2]], named
    return [*columns[:-2], "note"], [[*one, note] for one, note in zip(named, notes, strict=True)]


def descriptive_note(row: dict[str, Any]) -> str:
    """Return what is to be said of an arm in a descriptive table: why it has no difference."""
    if row["verdict"] == DESCRIPTIVE:
        return str(row["detail"]).removeprefix(": ")
    return f"{row['shown_verdict']}{row['detail']}"


def _interval(row: dict[str, Any]) -> str:
    return f"{row['confidence']}: [{signed(row['low'])}, {signed(row['high'])}]"


def _caution(row: dict[str, Any]) -> str:
    return f" ({row['caution']})" if row["caution"] else ""


def _loss(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def signed(value: float | None) -> str:
    """Return a difference with its sign; one that rounds to zero has none."""
    if value is None:
        return ""
    return f"{value:+.4f}" if float(f"{value:.4f}") else "0.0000"


def seeds_text(row: dict[str, Any]) -> str:
    """Return the number of seeds of a verdict, and of pairs where some have no partner."""
    pairs = "" if row["pairs"] == row["seeds"] else f" ({row['pairs']} paired)"
    return f"{row['seeds']}{pairs}"


def _adjusted_p(row: dict[str, Any]) -> str:
    if row["adjusted_p"] is None:
        return ""
    return f"{row['adjusted_p']:.2g}" + (" (not adjusted)" if row["is_replicate"] else "")


def _rate_table(content: dict[str, Any]) -> Iterator[str]:
    if not content["is_lr_searched"]:
        rows = [[arm["name"], number_text(arm["best_lr"])] for arm in content["arms"]]
        yield from table_lines(["arm", "peak lr"], rows)
        return
    rows = [
        [
            arm["name"],
            number_text(arm["best_lr"]),
            *edge_texts(arm),
            _evidence(arm),
        ]
        for arm in content["arms"]
    ]
    columns = ["arm", "best peak lr", "highest stable lr", "lowest unstable lr",
               "evidence"]  # fmt: skip
    yield from table_lines(columns, rows)


def edge_texts(arm: dict[str, Any]) -> list[str]:
    """Return the highest stable and the lowest unstable rate, and whether the limit is near."""
    rates = zip(arm["edge"] or (None, None), arm["edge_near"], strict=True)
    return [
        f"{number_text(rate)}{' (near the limit)' if is_near and rate is not None else ''}"
        for rate, is_near in rates
    ]


def _evidence(arm: dict[str, Any]) -> Markdown:
    caution = arm["rate_caution"]
    doubt = f"; **the best lr may be another**: {inline(caution)}" if caution else ""
    evidence = "; ".join(text for text in (arm["edge_basis"], arm["rate_basin"]) if text)
    return Markdown(f"{inline(evidence)}{doubt}")


def _configuration_table(content: dict[str, Any]) -> Iterator[str]:
    """Yield the overrides of each arm, and the settings in which it differs."""
    is_sweep = bool(content["swept"])
    first = "baseline" if content["has_baseline"] else "first arm"
    columns = ["arm", "overrides", "swept settings" if is_sweep else f"changes from the {first}"]
    rows = []
    for arm in content["arms"]:
        changes = [f"{key} {arm['settings'][key]}" for key in content["swept"]]
        changes += [
            f"{row['key']} {row['baseline']} \u2192 {row['arm']}" for row in arm["differences"]
        ]
        rows.append(
            [arm["name"], " ".join(arm["overrides"]) or "none", ", ".join(changes) or "none"]
        )
    yield from table_lines(columns, rows)


def number_text(value: float | None) -> str:
    """Return a number without trailing zeros; empty if it is not known."""
    return "" if value is None else f"{value:g}"


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table and an empty line."""
    yield "| " + " | ".join(cell(column) for column in columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(cell(text) for text in row) + " |"
    yield ""
