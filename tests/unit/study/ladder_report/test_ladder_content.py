"""The report of a ladder, from its folder and from its published records."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import pytest

from lmlab.storage.json_text import dump_json
from lmlab.study.csv_tables import render_csv, render_gains_csv
from lmlab.study.ladders.seals import SEALS_FILE, describe_seal, read_seals
from lmlab.study.markdown import render_markdown
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study
from lmlab.study.write_records import write_compact
from tests.support.ladder_folders import write_ladder
from tests.support.ladders import Loss, a_ladder


def test_published_records_give_the_same_report(transfer_folder: Path, tmp_path: Path) -> None:
    write_compact(load_study(transfer_folder), tmp_path / "kept" / "records")
    direct = build_content(load_study(transfer_folder))
    kept = build_content(load_study(tmp_path / "kept" / "records"))
    for key, value in direct["ladder"].items():
        assert kept["ladder"][key] == value, key
    for key in ("headline", "arms", "costs", "curves", "limits", "glossary", "noise"):
        assert kept[key] == direct[key], key


def test_markdown_has_the_sections_in_order_and_the_common_parts(transfer_folder: Path) -> None:
    text = render_markdown(build_content(load_study(transfer_folder)), [])
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "Gains and verdicts", "Loss against compute", "Gains in wall-clock time",
        "Sealed forecasts", "Rungs", "Learning rates", "Setup", "Cost and data of the arms",
        "Configuration of the arms", "Noise and decision rule", "Commands", "Limitations",
        "Glossary", "Environment",
    ]  # fmt: skip
    assert "no verdicts, because" not in text and "r1-new" in text


def test_results_and_gains_as_csv(fixed_folder: Path) -> None:
    content = build_content(load_study(fixed_folder))
    runs = list(csv.DictReader(io.StringIO(render_csv(content))))
    assert len(runs) == 36 and runs[0]["rung"] == "r1" and runs[0]["arm"] == "base"
    assert {"parameters", "flops", "tokens", "lr", "seed", "loss", "seconds", "purpose"} < set(
        runs[0]
    )
    assert float(runs[-1]["flops"]) == pytest.approx(1e13, rel=1e-3)
    gains = list(csv.DictReader(io.StringIO(render_gains_csv(content["ladder"]))))
    assert [(row["axis"], row["rung"], row["arm"]) for row in gains][:2] == [
        ("flops", "r1", "new"), ("flops", "r2", "new"),
    ]  # fmt: skip
    assert len(gains) == 16 and float(gains[0]["gain"]) == pytest.approx(1.5, rel=0.2)


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({"number": 2, "sealed": False}, {}),
        ({"arms": {"base": []}, "replicate": None}, {}),
        ({}, {"skip": lambda job: True}),
        ({}, {"skip": lambda job: job.arm.startswith("r3")}),
        ({}, {"status": lambda job: "failed" if job.arm == "r2-new" else "done"}),
        ({}, {"status": lambda job: "diverged" if job.arm == "r1-base" else "done"}),
        ({"lr": "search"}, {"skip": lambda job: job.arm == "r2-new" and job.seed >= 1000}),
    ],
    ids=["two rungs", "one arm", "nothing yet", "unfinished", "failed", "no baseline", "searching"],
)
def test_a_ladder_in_any_state_has_a_report(
    written: Any, changes: dict[str, Any], how: dict[str, Any]
) -> None:
    number = changes.pop("number", 4)
    content = build_content(written(number, how=how, **changes).study)
    assert content["headline"] and content["ladder"]["rungs"]
    assert render_markdown(content, []).startswith("# ladder")
    dump_json(content, mark_nonfinite=False)
    render_csv(content)
    render_gains_csv(content["ladder"])


def _some(rung: int, seed: int, arm: str) -> float:
    return 1e-3 * math.sin(7 * rung + 3 * seed + len(arm))


@pytest.mark.parametrize(
    "loss",
    [
        lambda rung, arm, rate, seed: 3.0,
        lambda rung, arm, rate, seed: 3.0 if arm == "new" else 3.0 - 0.2 * rung,
        lambda rung, arm, rate, seed: 3.0 if arm == "base" else 3.0 - 0.2 * rung,
        lambda rung, arm, rate, seed: [5.6, 5.6, 3.0, 3.0][rung] + _some(rung, seed, arm),
        lambda rung, arm, rate, seed: 3.0 + 0.1 * rung + _some(rung, seed, arm),
        lambda rung, arm, rate, seed: 0.0,
    ],
    ids=["flat", "flat arm", "flat baseline", "one step", "rising", "zero"],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_losses_that_no_power_law_describes_are_sealed_and_reported(
    loss: Loss, tmp_path: Path
) -> None:
    folder = write_ladder(tmp_path, a_ladder(num_seeds=2), loss)
    (seal,) = read_seals(folder / SEALS_FILE).seals
    assert describe_seal(seal).startswith("rung 4: ")
    content = build_content(load_study(folder))
    text = render_markdown(content, []) + render_csv(content) + dump_json(content)
    assert "24 done" not in text and "16 done" in text and "NaN" not in text


def test_a_law_needs_losses_above_zero(tmp_path: Path) -> None:
    folder = write_ladder(tmp_path, a_ladder(num_seeds=2), lambda *cell: 0.0)
    (seal,) = read_seals(folder / SEALS_FILE).seals
    assert "a mean loss is 0" in seal.reason
