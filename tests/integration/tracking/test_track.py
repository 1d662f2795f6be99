"""A run that has ended is sent to a tracker once, with all that a tracker of the run would have."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from event_files import expected_scalars, scalars, without_final
from own_trackers import add_tracker
from wandb_runs import history, inspect

from lmlab.config.compose import compose, to_yaml
from lmlab.errors import ConfigError
from lmlab.outputs.__main__ import main
from lmlab.outputs.track import track
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute

TRACKER = """
    import json
    class Tracker:
        def __init__(self, run_info, path):
            self.file = open(path, "a")
            self.write("init", [run_info.name, run_info.notes, list(run_info.tags)])
        def write(self, *what):
            self.file.write(json.dumps(what) + "\\n")
        def log(self, row):
            self.write("log", row)
        def samples(self, rows):
            self.write("samples", rows)
        def summary(self, values):
            self.write("summary", values)
        def finish(self, exit_code):
            self.write("finish", exit_code)
            self.file.close()
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The option ``logger=mine``, which writes its calls to a file; the path of that file."""
    calls = tmp_path / "calls.jsonl"
    add_tracker(tmp_path, monkeypatch, TRACKER, path=str(calls))
    return calls


def calls_in(path: Path) -> list[list[Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def run(overrides: list[str]) -> RunFolder:
    return execute(
        compose([*overrides, "arm=sent", 'notes=lr, as "planned": 1e-3', "tags=a,b"])
    ).run


def test_a_run_is_sent_to_one_s_own_tracker_once(run: RunFolder, own: Path, capsys) -> None:
    study = str(run.path.parents[1])
    assert main(["track", study, "logger=mine"]) == 0
    sent = calls_in(own)
    assert sent[0] == ["init", ["sent/seed0", 'lr, as "planned": 1e-3', ["train", "a", "b"]]]
    assert [call[1] for call in sent if call[0] == "log"] == run.rows()
    (samples,) = (call[1] for call in sent if call[0] == "samples")
    assert [row["prompt"] for row in samples] == ["Once upon a time", "One day"]
    assert {row["step"] for row in samples} == {20}
    written = run.samples.read_text()
    assert all(row["prompt"] + row["text"] in written for row in samples)
    (values,) = (call[1] for call in sent if call[0] == "summary")
    last = run.rows("validation")[-1]
    assert (values["step"], values["loss"]) == (20, last["loss"])
    assert (values["status"], values["purpose"]) == ("done", "run")
    assert values["parameters"] == run.meta()["num_parameters"]
    assert sent[-1] == ["finish", 0]
    assert "rows up to step 20" in capsys.readouterr().out

    assert main(["track", str(run.path), "logger=mine"]) == 0
    assert "nothing to send" in capsys.readouterr().out
    assert calls_in(own) == sent
    assert main(["annotate", study, "notes=kept", "tags="]) == 0
    assert main(["track", study, "logger=mine"]) == 0
    assert calls_in(own)[len(sent)] == ["init", ["sent/seed0", "kept", ["train"]]]


def test_the_command_that_a_rerun_prints_sends_the_run(
    overrides: list[str], run: RunFolder, own: Path, tmp_path: Path, caplog
) -> None:
    caplog.set_level("INFO")
    other = str(tmp_path / "other calls.jsonl")

    def printed(*settings: str) -> list[str]:
        caplog.clear()
        assert execute(compose([*overrides, "arm=sent", *settings])).run == run
        (line,) = (text for text in caplog.messages if text.startswith("to send it"))
        return shlex.split(line.partition("lmlab.outputs ")[2])

    words = printed("logger=mine")
    assert words == ["track", str(run.path), "logger=NAME"], "the run had no tracker"
    run.config.write_text(to_yaml(compose([*overrides, "arm=sent", "logger=mine"])))
    words = printed("logger=mine", f"logger.path={other}")
    assert main(words) == 0
    assert calls_in(Path(other))[-1] == ["finish", 0] and not own.exists()


@pytest.mark.long
def test_several_trackers_get_a_run_each_once(
    overrides: list[str], run: RunFolder, capsys, caplog
) -> None:
    chosen = ["logger=[wandb,tensorboard]", "logger.wandb.mode=offline"]
    assert main(["track", str(run.path), *chosen]) == 0
    printed = capsys.readouterr().out
    assert f"{run.path}, wandb: sent" in printed and f"{run.path}, tensorboard: sent" in printed
    (folder,) = (run.path.parents[1] / "wandb").glob("offline-run-*")
    losses = [(row["step"], row["train/loss"]) for row in history(folder) if "train/loss" in row]
    assert losses == [(row["step"], row["loss"]) for row in run.rows("train")]
    assert without_final(scalars(run.path / "tensorboard")) == expected_scalars(run.rows())
    assert main(["track", str(run.path), *chosen]) == 0
    assert capsys.readouterr().out.count("nothing to send") == 2

    # A run that was configured with both is sent to both, and says how where one lacks it.
    (run.path / "tracked.json").unlink()
    run.config.write_text(to_yaml(compose([*overrides, "arm=sent", *chosen])))
    caplog.set_level("INFO")
    assert execute(compose([*overrides, "arm=sent", *chosen, "logger.wandb.project=p"])).run == run
    (line,) = (text for text in caplog.messages if text.startswith("to send it"))
    words = shlex.split(line.partition("lmlab.outputs ")[2])
    assert words == ["track", str(run.path), "logger.wandb.project=p"]
    assert main(words) == 0
    assert capsys.readouterr().out.count(": sent") == 2
    with pytest.raises(ConfigError, match="configured with other trackers"):
        track([run], None, ["logger.mine.path=x"])


@pytest.mark.long
def test_wandb_gets_all_of_a_finished_run_in_one_folder(run: RunFolder, capsys) -> None:
    command = ["track", str(run.path), "logger=wandb", "logger.mode=offline"]
    for _ in range(2):
        assert main(command) == 0
        (folder,) = (run.path.parents[1] / "wandb").glob("offline-run-*")
    printed = capsys.readouterr().out
    assert "sent" in printed and "nothing to send" in printed
    assert f"wandb sync {folder.relative_to(Path.cwd())}" in printed
    found = [(row["step"], row["train/loss"]) for row in history(folder) if "train/loss" in row]
    assert found == [(row["step"], row["loss"]) for row in run.rows("train")]
    assert json.loads(inspect(folder, "--summary"))["summary"]["final/step"] == 20
    assert main(["delete", str(run.path), f"root={run.path.parents[2]}", "--yes"]) == 0
    assert not folder.exists(), "it would be uploaded as a second run"
