"""Does the drift of the best rate find what a coordinate check passes over?"""

from __future__ import annotations

import os
from pathlib import Path

import broken_mup
import pytest
from warm import start_command

from lmlab.build.run_data import prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.demos.activation_sizes import KINDS
from lmlab.demos.activation_slopes import END, START, fit_slopes
from lmlab.demos.coord_check import measure
from lmlab.study.ladder_report.ladder_content import build_ladder
from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.run_records import load_study

WIDTHS = (16, 32, 64, 128)
BASE = ["model.param.base_d_model=16", "model.param.base_d_head=8"]
LENIENT = 3.0  # largest factor by which activations may grow over the widths
SHARED = [
    "scale=smoke", "data.num_train_documents=2000", "model.vocab_size=280",
    "model.context_length=32", "model.tie_embeddings=true", "training.batch_size=8",
    "training.steps=40", "validation.every_steps=40", "validation.max_tokens=4096",
    "checkpoint.every_steps=40", "samples.max_new_tokens=1", "optim.weight_decay=0",
]  # fmt: skip


def _listed(overrides: list[str]) -> str:
    return f"[{','.join(repr(one) for one in overrides)}]"


def _study(root: Path) -> list[str]:
    """Return the arguments of a study of muP and of muP without its rate of hidden matrices."""
    rungs = [_listed([f"model.d_model={width}", f"model.num_heads={width // 8}"])
             for width in WIDTHS]  # fmt: skip
    return [
        "experiment=lr_transfer", *SHARED, f"output_root={root}",
        f"ladder.rungs=[{','.join(rungs)}]", "~design.arms.standard", "design.baseline=mup",
        f"design.arms.mup={_listed(['model.param=mup', *BASE])}",
        f"+design.arms.broken={_listed([*broken_mup.overrides('hidden_lr'), *BASE])}",
        "optim.lr=0.02", "design.num_seeds=2", "design.num_tuning_seeds=1", "design.lr_factor=2",
        "design.confirm_rate=never",
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.exhaustive
def test_a_missing_multiplier_passes_a_lenient_coordinate_check_and_is_caught_by_its_drift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_mup.trust(tmp_path / "settings", monkeypatch)
    monkeypatch.setenv("PYTHONPATH", str(Path(broken_mup.__file__).parent))
    config = compose([*SHARED, f"output_root={tmp_path}", "model.d_model=16", "model.num_heads=2"])
    node = {"_target_": "broken_mup.MuPWithout", "without": "hidden_lr", "base_d_model": 16,
            "base_d_head": 8}  # fmt: skip
    data = prepare_data(resolve(config).data)
    slopes = fit_slopes(measure(config, node, data, WIDTHS, steps=2, batch_size=8, seeds=3))
    grown = {(kind, when): 8 ** slopes[kind, when].value for kind in KINDS for when in (START, END)}
    assert max(grown.values()) < LENIENT, grown

    process = start_command(
        "train", *_study(tmp_path), cwd=tmp_path, env=dict(os.environ), together=True, session=True
    )
    printed, _ = process.communicate(timeout=900)
    assert process.returncode == 0, printed
    content = build_ladder(LadderStudy.of(load_study(tmp_path / "lr_transfer")))
    mup, broken = content["rates"]["arms"]
    assert (mup["arm"], broken["arm"]) == ("mup", "broken")
    assert content["rates"]["axis"] == "width (model.d_model)"
    assert broken["drift"]["high"] < 1, printed
    assert broken["drift"]["factor"] < 0.7 < 0.8 < mup["drift"]["factor"] < 1.25, printed
    assert mup["drift"]["low"] < 1 < mup["drift"]["high"], printed
    states = {row["arm"]: row["state"] for row in content["certificates"]}
    assert states["broken"] == "moves" and states["mup"] != "moves"
    assert any(
        line.startswith("broken: the best learning rate moves") for line in printed.split("\n")
    )
    regret = {row["arm"]: row["nats"] for row in content["rates"]["regrets"]}
    assert regret["broken"] > 0.1 > regret.get("mup", 0.0)
