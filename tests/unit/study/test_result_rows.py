"""Results as rows: settings that differ become columns of one type, and results are read right."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from output_folders import use

from lmlab.errors import ConfigError, DataError
from lmlab.run_folder import RunFolder
from lmlab.study.result_rows import ResultTable, read_results

_LAYER = "lmlab.nn.norm.LayerNorm"
_RMS = "lmlab.nn.norm.RMSNorm"


def write(root: Path, name: str, losses: list[float], **settings: Any) -> RunFolder:
    run = RunFolder(root / name)
    study, arm, seed = name.split("/")
    number = int(seed.removeprefix("seed"))
    run.write_meta({
        "identity": {}, "num_parameters": 100, "forward_flops_per_token": 7,
        "sessions": [{"time": "2026-01-01T00:00:00Z", "device": "cpu"}],
    })  # fmt: skip
    for step, loss in enumerate(losses):
        row = {"step": step, "tokens": 10 * step, "seconds": float(step)}
        run.append_row(row | {"kind": "train", "loss": loss + 1})
        run.append_row(row | {"kind": "validation", "loss": loss, "bits_per_byte": loss / 2})
    last = len(losses) - 1
    run.write_status("done", step=last, steps=last, tokens=10 * last, seconds=float(last))
    seeds = {"init": number, "data": number}
    content = {"study": study, "arm": arm, "seed": number, "seeds": seeds, "output_root": "x"}
    run.config.write_text(yaml.safe_dump(content | settings))
    return run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "outputs"
    common = {"training": {"steps": 3}, "logger": {"_target_": "x.Y"}}
    write(root, "runs/a/seed0", [3.0, 1.0, 2.0], **common,
          model={"norm": {"_target_": _RMS, "gain": True}, "d_ff": "auto"},
          optim={"_target_": "m.A", "lr": 1, "betas": [0.9, 0.95]})  # fmt: skip
    run = write(root, "runs/b/seed1", [3.0, 2.5, math.nan], **common | {"logger": {}},
                model={"norm": {"_target_": _LAYER, "bias": 1}, "d_ff": 64},
                optim={"_target_": "m.A", "lr": 0.5, "betas": [0.9, 0.99]})  # fmt: skip
    run.annotate("odd", ["good", "keep"])
    return root


def test_a_row_has_names_results_and_annotations(root: Path) -> None:
    first, second = read_results(root).rows
    assert [first[key] for key in ("study", "arm", "seed", "status")] == ["runs", "a", 0, "done"]
    assert first["run"] == str(root / "runs/a/seed0")
    assert (first["loss"], first["best_loss"], first["best_step"]) == (2.0, 1.0, 1)
    assert (first["bits_per_byte"], first["train_loss"]) == (1.0, 3.0)
    assert (first["tokens"], first["steps"], first["seconds"]) == (20, 2, 2.0)
    assert first["flops"] == 3 * 7 * 20  # forward, and twice as much backward
    assert (first["tags"], first["notes"]) == ("", "")
    assert (second["tags"], second["notes"]) == ("good, keep", "odd")
    # The last evaluation decides; a run that ends in NaN keeps its best one.
    assert second["status"] == "diverged" and math.isnan(second["loss"])  # type: ignore[arg-type]
    assert second["best_loss"] == 2.5


def test_settings_that_differ_are_columns(root: Path) -> None:
    table = read_results(root)
    assert [row["model.norm"] for row in table.rows] == ["RMSNorm", "LayerNorm"]
    assert [row["model.d_ff"] for row in table.rows] == ["auto", "64"]  # one type
    assert [row["optim.lr"] for row in table.rows] == [1.0, 0.5]
    assert table.types["optim.lr"] is float
    assert [row["optim.betas"] for row in table.rows] == ["[0.9, 0.95]", "[0.9, 0.99]"]
    # Neither what is equal, nor what only one of two components has, nor names and trackers.
    for key in ("optim", "training.steps", "model.norm.gain", "model.norm.bias", "output_root",
                "logger", "seeds.init"):  # fmt: skip
        assert key not in table.types
    for row in table.rows:
        assert list(row) == list(table.types)
        for key, value in row.items():
            assert value is None or type(value) is table.types[key]


def test_a_setting_that_only_one_run_has_is_a_column(root: Path) -> None:
    write(root, "runs/c/seed2", [1.0], extra=5)
    assert [row["extra"] for row in read_results(root).rows] == [None, None, 5]


def test_a_pinned_seed_is_a_column(root: Path) -> None:
    write(root, "runs/c/seed2", [1.0], seeds={"init": 7, "data": 2})
    table = read_results(root)
    assert [row["seeds.init"] for row in table.rows] == [None, None, 7]
    assert "seeds.data" not in table.types


def test_classes_of_one_name_are_told_apart(root: Path) -> None:
    write(root, "runs/c/seed2", [1.0], model={"norm": {"_target_": "mine.RMSNorm"}})
    assert [row["model.norm"] for row in read_results(root).rows] == [
        _RMS, _LAYER, "mine.RMSNorm",
    ]  # fmt: skip


def test_purposes_come_from_sweeps_of_any_study(root: Path) -> None:
    use(root, "other", "runs/a/seed0")
    assert [row["purposes"] for row in read_results(root).rows] == ["judged", ""]
    assert read_results(root / "runs").rows[0]["purposes"] == "judged"


def test_damaged_files_leave_the_rest_of_a_row(root: Path) -> None:
    (root / "runs/a/seed0/config.yaml").write_text("{")
    (root / "runs/b/seed1/status.json").unlink()
    first, second = read_results(root).rows
    assert (first["arm"], first["seed"], first["loss"]) == ("a", 0, 2.0)
    assert (second["status"], second["tokens"]) == ("missing", 20)


def test_runs_are_sorted_with_unknown_values_last() -> None:
    rows: list[Any] = [{"x": value} for value in (2.0, None, math.nan, 1.0, 3.0)]
    table = ResultTable({"x": float}, rows)
    assert [row["x"] for row in table.sorted_by("x").rows[:3]] == [1.0, 2.0, 3.0]
    assert [row["x"] for row in table.sorted_by("-x").rows[:3]] == [3.0, 2.0, 1.0]
    assert table.sorted_by("-x").rows[3]["x"] is None
    with pytest.raises(ConfigError, match="sort=y: expected one of x"):
        table.sorted_by("y")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_results(tmp_path / "none")
    assert read_results(tmp_path).rows == []
