"""Each run is sent to its own tracker or to the one that is named, and none stops the others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from own_trackers import add_tracker, module_name

from lmlab.config.compose import compose, to_yaml
from lmlab.outputs.__main__ import main
from lmlab.run_folder import RunFolder

TRACKER = """
    calls = []
    class Tracker:
        def __init__(self, run_info, *, failing="", label="none"):
            self.failing, self.label = failing, label
        def act(self, name):
            calls.append((self.label, name))
            if name == self.failing:
                raise SystemExit("no server\\nsecond line")
        def log(self, row):
            self.act("log")
        def samples(self, rows):
            self.act("samples")
        def summary(self, values):
            self.act("summary")
        def finish(self, exit_code):
            self.act(f"finish {exit_code}")
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    add_tracker(tmp_path, monkeypatch, TRACKER, failing="", label="own")
    chosen = {
        "a": ["logger=none"],
        "b": ["logger=mine", "logger.failing=log"],
        "c": ["logger=mine"],
    }
    for arm, overrides in chosen.items():
        run = RunFolder(tmp_path / "s" / arm / "seed0")
        run.path.mkdir(parents=True)
        run.config.write_text(to_yaml(compose([*overrides, "study=s", f"arm={arm}"])))
        run.write_meta({"identity": {}, "sessions": [{}]})
        run.write_status("done", step=2, steps=2)
        run.append_row({"kind": "validation", "step": 2, "loss": 2.0})
    return tmp_path / "s"


def calls() -> list[tuple[str, str]]:
    module = sys.modules[module_name(TRACKER)]
    made = list(module.calls)
    module.calls.clear()
    return made


def test_a_run_without_a_tracker_and_one_that_exits_stop_no_other(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["track", str(root)]) == 1
    printed = capsys.readouterr().out
    assert printed.count("\n") == 3, printed
    first, second, third = printed.splitlines()
    assert first == f"{root}/a/seed0: not sent: it had no tracker; add logger=NAME"
    assert second == f"{root}/b/seed0: not sent (SystemExit: no server)"
    assert third.startswith(f"{root}/c/seed0: sent 1 row up to step 2")
    own = [("own", name) for name in ("log", "finish 1", "log", "summary", "finish 0")]
    assert calls() == own, "the tracker that failed was closed"


def test_settings_change_the_tracker_of_each_run(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [f"run={root / arm / 'seed0'}" for arm in "bc"]
    assert main(["track", *runs, "logger.label=other", "logger.failing=''"]) == 0
    sent = ("log", "summary", "finish 0")
    assert calls() == [("other", name) for name in (*sent, *sent)]
    assert main(["track", *runs, "logger.labl=x"]) == 2
    assert "labl" in capsys.readouterr().err and calls() == [], (
        "nothing is sent before all are valid"
    )
