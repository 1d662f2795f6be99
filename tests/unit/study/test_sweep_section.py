"""What was swept follows from the overrides of the runs, whatever form they have."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from pathlib import Path
from typing import Any

import pytest

from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.study.csv_tables import render_csv, render_sweep_csv
from lmlab.study.report_content import build_content
from lmlab.study.run_records import RunRecord, Study, load_study
from lmlab.study.sweep_section import build_sweep


def a_study(overrides: list[list[str]], losses: list[float] | None = None, **config: Any) -> Study:
    arms: list[dict[str, Any]] = [{"seed": 0} for _ in overrides]
    manifest = Manifest("s", "command", arms, [str(i) for i in range(len(arms))], overrides)
    records = [
        RunRecord(
            Job(str(number), None, 0, number), ("run",), "f", {"status": "done"}, {},
            [{"loss": losses[number] if losses else 3.0 + number}], [], "",
            settings=config | dict(text.split("=") for text in overrides[number] if config),
        )
        for number in range(len(arms))
    ]  # fmt: skip
    return Study("s", Path("s"), manifest, {}, records)


def test_settings_that_differ_between_runs_were_swept() -> None:
    study = a_study(
        [["scale=smoke", "+optim.lr=1e-3", "model/norm=rms", "seed=0", "samples.count=1"],
         ["scale=smoke", "+optim.lr=0.01", "model/norm=true", "seed=1", "samples.count=2"]]
    )  # fmt: skip
    sweep = build_sweep(study)
    assert sweep["keys"] == ["optim.lr", "model.norm"], "seeds and samples change no result"
    assert [point["values"] for point in sweep["points"]] == [[0.001, "rms"], [0.01, True]]
    assert [point["loss"] for point in sweep["points"]] == [3.0, 4.0]


def test_equal_numbers_are_one_value() -> None:
    assert build_sweep(a_study([["optim.lr=1e-3"], ["optim.lr=0.001"]]))["keys"] == []


def test_a_run_without_the_override_has_the_configured_value() -> None:
    sweep = build_sweep(a_study([["optim.lr=1e-3"], []], **{"optim.lr": 0.02}))
    assert [point["values"] for point in sweep["points"]] == [[0.001], [0.02]]


def test_the_results_are_sorted_and_an_arm_that_diverged_comes_last() -> None:
    study = a_study(
        [["model.norm=rms"], ["model.norm=post"], ["model.norm=none"]], [3.5, math.nan, 3.25]
    )
    again = dataclasses.replace(study.records[0], validation=[{"loss": 3.7}])
    other = dataclasses.replace(study.records[1], validation=[{"loss": 1.0}])
    rows = build_sweep(dataclasses.replace(study, records=[*study.records, again, other]))["rows"]
    assert [row["values"] for row in rows] == [["none"], ["rms"], ["post"]]
    assert [row["seeds"] for row in rows] == [1, 2, 1]
    assert [row["mean"] for row in rows] == pytest.approx([3.25, 3.6, None])
    assert rows[1]["sd"] == pytest.approx(0.2 / math.sqrt(2)) and rows[2]["sd"] is None
    assert rows[2]["status"] == "1 diverged, 1 done"


def test_a_comparison_of_arms_is_no_sweep(finished_study: Path) -> None:
    study = load_study(finished_study)
    assert build_sweep(study) == {"keys": [], "points": [], "rows": []}
    assert build_sweep(dataclasses.replace(study, manifest=None)) == {
        "keys": [],
        "points": [],
        "rows": [],
    }


def test_a_sweep_over_tokenizers_ranks_by_bits_per_byte() -> None:
    arms: list[dict[str, Any]] = [
        {
            "seed": 0,
            "output_root": "o",
            "tokenizer": {"_target_": f"lmlab.tokenizer.{name}"},
        }
        for name in ("bpe", "byte_level")
    ]
    overrides = [["tokenizer=bpe"], ["tokenizer=bytes"]]
    manifest = Manifest("s", "command", arms, ["bpe", "bytes"], overrides)
    assert (manifest.metric, manifest.unit) == ("bits_per_byte", "bits per byte")
    records = [
        RunRecord(
            Job(name, None, 0, number), ("run",), "f", {"status": "done"}, {},
            [{"loss": loss, "bits_per_byte": bits, "step": 1, "tokens": 1, "seconds": 1.0}],
            [], "", metric=manifest.metric,
        )
        for number, (name, loss, bits) in enumerate((("bpe", 3.0, 1.5), ("bytes", 1.25, 1.75)))
    ]  # fmt: skip
    content = build_content(Study("s", Path("s"), manifest, {}, records))
    assert [row["values"] for row in content["sweep"]["rows"]] == [["bpe"], ["bytes"]]
    assert content["unit"] == "bits per byte"
    assert "Fewest bits per byte at the end, on average: 1.5000" in content["headline"][1]
    assert "cannot be compared" in content["headline"][1]
    rows = list(csv.DictReader(io.StringIO(render_csv(content))))
    assert [(row["loss"], row["bits_per_byte"]) for row in rows] == [
        ("3.0", "1.5"), ("1.25", "1.75")
    ]  # fmt: skip
    assert "mean_bits_per_byte" in render_sweep_csv(content)


def test_other_plain_sweeps_rank_by_loss() -> None:
    same: dict[str, Any] = {"_target_": "lmlab.tokenizer.factories.byte_level"}
    arms: list[dict[str, Any]] = [
        {"tokenizer": same | {"end_of_text": one}, "data": {"path": one}} for one in ("a", "b")
    ]
    assert Manifest("s", "", arms, ["a", "b"], [[], []]).metric == "loss"


def test_runs_that_pin_a_seed_have_columns_of_their_seeds() -> None:
    study = a_study([["seeds.init=0"], ["seeds.init=1"]])
    assert study.manifest is not None
    arms = [{"output_root": "o", "seed": 0, "seeds": {"init": n, "data": 0}} for n in (0, 1)]
    row = {"loss": 3.0, "step": 1, "tokens": 1, "seconds": 1}
    records = [dataclasses.replace(record, validation=[row]) for record in study.records]
    manifest = dataclasses.replace(study.manifest, arms=arms)
    content = build_content(dataclasses.replace(study, manifest=manifest, records=records))
    rows = list(csv.DictReader(io.StringIO(render_csv(content))))
    assert [(row["seed"], row["seeds.init"], row["seeds.data"]) for row in rows] == [
        ("0", "0", "0"), ("0", "1", "0")
    ]  # fmt: skip
