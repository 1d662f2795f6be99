"""The setup of a study in a few lines."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lmlab.study.run_records import load_study
from lmlab.study.setup_section import build_setup

RECORDS = Path(__file__).parents[3] / "experiments" / "ablations" / "records"


def test_the_setup_is_that_of_the_baseline(finished_study: Path) -> None:
    study = load_study(finished_study)
    assert study.manifest is not None
    arm = study.manifest.arms[study.manifest.names.index("rms")]
    rows = dict(map(tuple, build_setup(study)))
    assert rows["arm"] == "rms"
    assert f"width {arm['model']['d_model']}" in rows["model"]
    assert "norm PreRMSNorm" in rows["model"] and "pos RoPE" in rows["model"]
    assert rows["optimizer"].startswith("adamw, betas")
    assert rows["steps x batch"].startswith(f"{arm['training']['steps']:,} steps")
    assert build_setup(dataclasses.replace(study, manifest=None)) == []


def test_the_number_of_evaluated_tokens_is_told_where_it_is_known() -> None:
    study = load_study(RECORDS)
    rows = dict(map(tuple, build_setup(study)))
    assert rows["evaluation"].startswith("49,152 of the 118,136 validation tokens, in full windows")
    rows = dict(map(tuple, build_setup(dataclasses.replace(study, arm_costs={}))))
    assert rows["evaluation"].startswith("at most 49,152 validation tokens, in full windows")


def test_the_precision_in_effect_is_told_where_it_is_recorded() -> None:
    study = load_study(RECORDS)
    assert study.manifest is not None
    rows = dict(map(tuple, build_setup(study)))
    assert rows["precision"] == "auto (the format in effect is not recorded), on cpu"
    records = [
        dataclasses.replace(one, meta=one.meta | {"policy": {"name": "fast", "products": "high"}})
        for one in study.records
    ]
    rows = dict(map(tuple, build_setup(dataclasses.replace(study, records=records))))
    assert rows["precision"] == "fast, chosen by auto, on cpu"
    arms = [arm | {"runtime": {"policy": "exact"}} for arm in study.manifest.arms]
    exact = dataclasses.replace(study.manifest, arms=arms)
    rows = dict(map(tuple, build_setup(dataclasses.replace(study, manifest=exact))))
    assert rows["precision"] == "exact, on cpu"


def test_how_the_text_was_split_is_told() -> None:
    study = load_study(RECORDS)
    assert study.manifest is not None

    def split(**data: object) -> str | None:
        arms = [arm | {"data": {"_target_": "x.Y", **data}} for arm in study.manifest.arms]
        manifest = dataclasses.replace(study.manifest, arms=arms)
        rows = build_setup(dataclasses.replace(study, manifest=manifest))
        return dict(map(tuple, rows)).get("split")

    assert split(train="a", valid="b") == "separate files for training and validation"
    assert str(split(train="a", valid=None, valid_fraction=0.02)).startswith("2.00% of the text")
    assert split() is None
