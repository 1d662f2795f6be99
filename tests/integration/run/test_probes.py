"""Runs on stories are asked about them, and nothing else of them changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from event_files import expected_scalars, scalars, without_final
from stacks import members, runs, stack

from lmlab.build.identity import is_same_run
from lmlab.config.compose import compose
from lmlab.data.story_probes import PROBES
from lmlab.errors import ConfigError
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute
from lmlab.study.probe_figure import draw_run_probes
from lmlab.tasks.item_records import read_items

TIMES = ("seconds", "tokens_per_second", "mfu")


STORIES = ["data=toystories", "data.num_train_documents=200", "data.num_valid_documents=40"]


def on_stories(overrides: list[str]) -> list[str]:
    return [*(one for one in overrides if not one.startswith("data")), *STORIES]


def numbers(run: RunFolder) -> list[dict[str, Any]]:
    rows = [row for row in run.rows() if row["kind"] != "probes"]
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def weights(run: RunFolder) -> bytes:
    return (run.checkpoints / "step_00000020" / "model.safetensors").read_bytes()


@pytest.mark.long
def test_a_run_has_the_same_bits_with_and_without(overrides: list[str], tmp_path: Path) -> None:
    more = [*on_stories(overrides), "model.dropout=0.2", "logger=tensorboard"]
    found = {}
    for name, items in (("without", 0), ("with", 5)):
        where = [f"output_root={tmp_path / name}", f"validation.probes={items}"]
        found[name] = execute(compose([*more, *where])).run
    plain, asked = found.values()
    assert numbers(plain) == numbers(asked)
    assert weights(plain) == weights(asked)
    assert is_same_run(plain.meta(), asked.meta()["identity"])
    assert plain.path.relative_to(tmp_path / "without") == asked.path.relative_to(tmp_path / "with")
    assert plain.rows("probes") == [] and plain.meta().get("probes") is None

    steps = [row["step"] for row in asked.evaluations()]
    rows = asked.rows("probes")
    assert [(row["step"], row["name"]) for row in rows] == [
        (step, name) for step in steps for name in PROBES
    ]
    facts = asked.meta()["probes"]
    assert list(facts) == list(PROBES)
    for name in PROBES:
        last = [row for row in rows if row["name"] == name][-1]
        items_of = read_items(asked, f"probes/{name}", step=20)
        assert len(items_of) == last["num_items"] == facts[name]["num_items"] == 5
        for score in ("accuracy", "margin", "kl"):
            mean = sum(item[score] for item in items_of) / 5
            assert last[score] == pytest.approx(mean, rel=1e-6)
        assert last["accuracy"] <= facts[name]["best"]["accuracy"] + 1e-12
    assert facts["plots"]["num_cut"] > 0  # contexts of stories are longer than this model's
    tracked = scalars(asked.path / "tensorboard")
    assert without_final(tracked) == expected_scalars(asked.rows())
    assert "probes/plots/kl" in json.dumps(sorted(map(str, tracked)))
    assert draw_run_probes(asked.path)


def test_other_texts_have_no_probes(overrides: list[str]) -> None:
    run = execute(compose([*overrides, "validation.probes=5"])).run
    assert run.rows("probes") == [] and run.meta().get("probes") is None


def test_a_number_of_items_below_zero_is_refused(overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"validation.probes=-1: expected a number of items"):
        compose([*overrides, "validation.probes=-1"])


@pytest.mark.long
def test_stacked_runs_answer_as_separate_ones(overrides: list[str], tmp_path: Path) -> None:
    more = [*on_stories(overrides), "validation.probes=3"]
    together, apart = tmp_path / "together", tmp_path / "apart"
    arms = {"a": ["seed=1"], "b": ["seed=2"]}
    stack(members(more, together, **arms))
    for own in members(more, apart, **arms):
        execute(compose(own))
    for arm, found in runs(together).items():
        rows, expected = (run.rows("probes") for run in (found, runs(apart)[arm]))
        assert len(rows) == len(expected) == 3 * len(PROBES)
        for mine, yours in zip(rows, expected, strict=True):
            for name in ("name", "step", "num_items", "accuracy"):
                assert mine[name] == yours[name]
            assert mine["kl"] == pytest.approx(yours["kl"], abs=1e-4)


@pytest.mark.long
def test_a_resumed_run_has_the_rows_of_an_uninterrupted_one(
    overrides: list[str], tmp_path: Path
) -> None:
    more = [*on_stories(overrides), "validation.probes=3"]
    whole = execute(compose([*more, f"output_root={tmp_path / 'whole'}"])).run
    resumed = execute(compose([*more, f"output_root={tmp_path / 'resumed'}"])).run
    # As if it had been killed after its checkpoint of step 15.
    for folder in resumed.checkpoints.iterdir():
        if folder.name not in ("step_00000015",):
            shutil.rmtree(folder)
    resumed.write_status("interrupted", step=15)
    (resumed.path / "probes" / "plots.jsonl").write_text('{"id": 0')
    assert execute(compose([*more, f"output_root={tmp_path / 'resumed'}"])).run == resumed
    for name in PROBES:
        assert read_items(resumed, f"probes/{name}") == read_items(whole, f"probes/{name}")
    keys = ("step", "name", "accuracy", "margin", "kl", "num_items")
    rows = [[[row[key] for key in keys] for row in run.rows("probes")] for run in (whole, resumed)]
    assert rows[0] == rows[1]
