"""Callbacks of a user's package: recorded once per step, and without an effect on the run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import own_parts
import pytest

from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute


def weights(run: RunFolder) -> bytes:
    return (run.checkpoints / "step_00000012" / "model.safetensors").read_bytes()


@pytest.mark.long
def test_a_run_with_a_callback_is_the_run_without_it_and_records_each_step_once(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    own_parts.trust(tmp_path, monkeypatch)
    caplog.set_level("INFO")
    wanted = [*overrides, "training.steps=12", "checkpoint.every_steps=4", "samples.count=0"]
    probe = "callbacks.widest={_target_: own_parts.widest, every_steps: 5}"
    plain = execute(compose([*wanted, f"output_root={tmp_path / 'plain'}"])).run
    observed = [*wanted, probe, "callbacks.widest.scale=2", f"output_root={tmp_path / 'observed'}"]
    assert compose(observed).arm == compose(wanted).arm
    run = execute(compose(observed)).run
    predictions = [text for text in caplog.messages if text.startswith("preflight: ")]
    assert ["time of callbacks is not" in text for text in predictions] == [False, True]
    assert weights(run) == weights(plain)
    assert run.meta()["identity"] == plain.meta()["identity"]
    rows = run.rows("callback")
    assert [(row["step"], row["name"]) for row in rows] == [(5, "widest"), (10, "widest")]
    assert rows[0]["largest"] > 0 and rows[0]["draws"] != rows[1]["draws"]

    shutil.rmtree(run.checkpoints / "step_00000012")
    run.write_status("interrupted")
    assert execute(compose(observed)).run.path == run.path
    assert [row | {"seconds": 0} for row in run.rows("callback")] == [
        row | {"seconds": 0} for row in rows
    ]
    assert weights(run) == weights(plain)

    again = execute(compose([*wanted, probe.replace("widest=", "late="), observed[-1]]))
    assert again.run.path == run.path
    assert "not called: callbacks.late; to train again" in caplog.text

    changing = [*wanted, "callbacks.bad={_target_: own_parts.writes, every_steps: 6, how: weights}",
                f"output_root={tmp_path / 'changing'}"]  # fmt: skip
    with pytest.raises(ConfigError, match=r"callbacks\.bad: changed the weights at step 6"):
        execute(compose(changing))
    (failed,) = (tmp_path / "changing").glob("runs/*/seed0")
    assert RunFolder(failed).status()["status"] == "failed"
    assert (failed / "checkpoints" / "step_00000004").is_dir()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("callbacks.one=3", r"callbacks\.one=3: expected _target_ and every_steps"),
        ("callbacks.one={_target_: own_parts.widest}", r"callbacks\.one\.every_steps=null: expect"),
        (
            "callbacks.one={_target_: own_parts.widest, every_steps: 0}",
            r"every_steps=0: expected 1",
        ),
        ("callbacks.one={_target_: own_parts.writes, every_steps: 1}", "requires how"),
        ("callbacks.one={_target_: other.widest, every_steps: 1}", "expected a target in one of"),
        ("callbacks.one={_target_: own_parts.wide, every_steps: 1}", 'did you mean "widest"'),
    ],
)
def test_settings_of_callbacks_are_checked(
    setting: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_parts.trust(tmp_path, monkeypatch)
    with pytest.raises(ConfigError) as caught:
        compose([setting])
    text = f"{caught.value.message} {caught.value.help}"
    assert re.search(message, text), text
