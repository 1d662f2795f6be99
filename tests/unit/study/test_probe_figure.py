"""One panel per probe, with the best possible accuracy and that of a guess as lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmlab.run_folder import RunFolder
from lmlab.study.probe_figure import draw_probes, draw_run_probes

FACTS = {
    "names_near": {"num_items": 9, "best": {"accuracy": 1.0, "kl": 0.0}, "chance": 0.25},
    "plots": {"num_items": 8, "best": {"accuracy": 0.7, "kl": 0.0}, "chance": 0.25},
}


def content(**changes: Any) -> dict[str, Any]:
    def curve(arm: str, seed: int, names: list[float], plots: list[float]) -> dict[str, Any]:
        tokens = [0, 64, 128][: len(names)]
        probes = {
            "names_near": {"tokens": tokens, "accuracy": names},
            "plots": {"tokens": tokens, "accuracy": plots},
        }
        return {"arm": arm, "seed": seed, "status": "done", "probes": probes}

    facts = {
        name: {"best": one["best"]["accuracy"], "chance": one["chance"]}  # type: ignore[index]
        for name, one in FACTS.items()
    }
    curves = [
        curve("a", 0, [0.2, 0.6, 1.0], [0.3, 0.5, 0.7]),
        curve("a", 1, [0.4, 0.8], [0.1, 0.3]),
        curve("b", 0, [0.2, 0.3, 0.4], [0.3, 0.3, 0.3]),
    ]
    arms = [{"name": "a"}, {"name": "b"}, {"name": "c"}]
    return {
        "title": "s", "ladder": None, "arms": arms, "probes": {"facts": facts, "curves": curves},
    } | changes  # fmt: skip


def lines_of(axes: Any) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {}
    for line in axes.get_lines():
        found.setdefault(str(line.get_label()), []).append(list(map(float, line.get_ydata())))
    return found


def test_each_panel_has_the_means_the_seeds_and_the_best() -> None:
    figure = draw_probes(content())
    assert figure is not None
    names, plots = (axes for axes in figure.axes if axes.get_visible())
    assert names.get_title(loc="left") == "names near"
    lines = lines_of(names)
    assert lines["_best"] == [[1.0, 1.0]] and lines["_chance"] == [[0.25, 0.25]]
    assert [round(value, 9) for value in lines["a"][0]] == [0.3, 0.7]  # where both were evaluated
    assert lines["_seed"] == [[0.2, 0.6, 1.0], [0.4, 0.8]]
    assert lines["b"] == [[0.2, 0.3, 0.4]]
    assert "c" not in lines
    assert lines_of(plots)["_best"] == [[0.7, 0.7]]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]


def test_ladders_and_studies_without_probes_have_no_figure() -> None:
    assert draw_probes(content(probes=None)) is None
    assert draw_probes(content(ladder={})) is None


def test_a_run_has_its_own_figure(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "study" / "arm" / "seed0")
    run.write_meta({"probes": FACTS})
    assert draw_run_probes(run.path) == []  # not evaluated yet
    for step in (0, 10):
        for name in FACTS:
            row = {"kind": "probes", "name": name, "step": step, "tokens": 64 * step, "seconds": 1}
            run.append_row(row | {"accuracy": 0.5, "margin": 0.1, "kl": 0.2, "num_items": 8})
    paths = draw_run_probes(run.path)
    assert [path.name for path in paths] == ["probes.png", "probes.svg", "probes.pdf"]
    first = paths[1].read_bytes()
    draw_run_probes(run.path)
    assert paths[1].read_bytes() == first
    text = first.decode()
    for words in ("names near", "plots", "best possible", "a guess", "study/arm/seed0"):
        assert words in text
    run.write_meta({})
    assert draw_run_probes(run.path) == []
