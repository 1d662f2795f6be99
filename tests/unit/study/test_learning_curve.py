from __future__ import annotations

import math
from pathlib import Path

import pytest

from lmlab.run_folder import RunFolder
from lmlab.study.figure_style import save
from lmlab.study.learning_curve import draw_learning_curve, make_figure


def make_run(folder: Path, num_rows: int = 100, status: str = "done", floor: bool = True) -> Path:
    run = RunFolder(folder / "study" / "arm" / "seed0")
    note = {
        "nats_per_token": 0.5,
        "bits_per_byte": 0.2,
        "note": "no model can do better on average",
    }
    run.write_meta({"floor": note if floor else None})
    run.write_status(status, step=num_rows * 10)
    for index in range(num_rows + 1):
        step = index * 10
        loss = 0.6 + 6 * math.exp(-index / 20)
        common = {"step": step, "tokens": step * 4096, "seconds": step * 0.2}
        if index:
            run.append_row({"kind": "train", **common, "loss": loss})
        if index % 10 == 0:
            values = {"loss": loss, "perplexity": math.exp(loss), "bits_per_byte": loss * 0.4}
            run.append_row({"kind": "validation", **common, **values})
    return run.path


def plotted_lines(folder: Path) -> dict[str, list[tuple[float, float]]]:
    figure = make_figure(folder)
    assert figure is not None
    lines = figure.axes[0].get_lines()
    return {
        str(line.get_label()): list(zip(*map(list, line.get_data()), strict=True)) for line in lines
    }


def test_the_lines_show_the_recorded_rows(tmp_path: Path) -> None:
    folder = make_run(tmp_path, 30)
    lines = plotted_lines(folder)
    rows = RunFolder(folder)
    assert lines["training"] == [(r["tokens"] / 1e3, r["loss"]) for r in rows.rows("train")] or (
        lines["training"] == [(r["tokens"] / 1e6, r["loss"]) for r in rows.rows("train")]
    )
    assert len(lines["validation"]) == len(rows.rows("validation"))
    assert [loss for _, loss in lines["validation"]] == [r["loss"] for r in rows.rows("validation")]


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    paths = draw_learning_curve(folder)
    assert [path.name for path in paths] == [
        "learning_curve.png",
        "learning_curve.svg",
        "learning_curve.pdf",
    ]
    before = [path.read_bytes() for path in paths]
    assert before[0].startswith(b"\x89PNG")
    assert b"<svg" in before[1]
    assert [path.read_bytes() for path in draw_learning_curve(folder)] == before


def texts(folder: Path) -> str:
    """The figure of a run as SVG, whose texts can be read."""
    figure = make_figure(folder)
    assert figure is not None
    (path,) = save(figure, folder / "figure", ["svg"])
    return path.read_text("utf-8")


def test_the_figure_is_labelled(tmp_path: Path) -> None:
    svg = texts(make_run(tmp_path))
    last = 0.6 + 6 * math.exp(-100 / 20)
    for label in (
        "study/arm/seed0",
        "loss (nats per token)",
        "bits per byte",
        "training tokens (millions)",
        "entropy of the validation text: 0.500",
        f">{last:.3f}<",
        "validation",
    ):
        assert label in svg


def test_the_right_axis_is_in_bits_per_byte(tmp_path: Path) -> None:
    figure = make_figure(make_run(tmp_path))
    assert figure is not None
    figure.draw_without_rendering()
    axes = figure.axes[0]
    (bits,) = axes.child_axes
    # The runs above have 0.4 bits per byte for each nat per token.
    assert bits.get_ylim() == pytest.approx([0.4 * nats for nats in axes.get_ylim()])


def test_no_entropy_is_drawn_where_none_is_known(tmp_path: Path) -> None:
    assert "entropy" not in texts(make_run(tmp_path, floor=False))


def test_the_title_shows_that_a_run_is_not_done(tmp_path: Path) -> None:
    assert "diverged at step 1,000" in texts(make_run(tmp_path, status="diverged"))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_left_out(tmp_path: Path, value: float) -> None:
    folder = make_run(tmp_path, status="diverged")
    row = {"step": 1010, "tokens": 1010 * 4096, "seconds": 1.0, "loss": value}
    RunFolder(folder).append_row({"kind": "train", **row})
    RunFolder(folder).append_row(
        {"kind": "validation", **row, "perplexity": value, "bits_per_byte": value}
    )
    assert texts(folder)


@pytest.mark.parametrize("kind", ["train", "validation"])
def test_training_or_validation_rows_alone_are_drawn(tmp_path: Path, kind: str) -> None:
    folder = make_run(tmp_path)
    rows = [row for row in RunFolder(folder).rows() if row["kind"] == kind]
    RunFolder(folder).keep_rows_up_to(10**9, rows)
    assert texts(folder)


def test_an_empty_run_folder_gives_no_figure(tmp_path: Path) -> None:
    assert draw_learning_curve(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
