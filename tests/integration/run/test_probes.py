"""Runs on stories are asked about them, and nothing else of them changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from event_files import expected_scalars, scalars, without_final

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
