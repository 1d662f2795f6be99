"""What people and programs see of a stream."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from judged_ideas import add, started

from lmlab.judge.forecast import describe_plan, pair_sd, run_seconds
from lmlab.judge.stream import read_stream
from lmlab.judge.trial import prepare
from lmlab.judge.views import describe_stream, describe_trial, stream_content
from lmlab.storage.json_text import dump_json

Texts = tuple[Path, Path]


def test_people_and_programs_see_the_same_answers(tmp_path: Path, texts: Texts) -> None:
    ledger, stream = started(tmp_path, texts)
    assert "0 ideas; 0 runs" in list(describe_stream(stream))
    add(ledger, "tiny", "optim.weight_decay=0.0001")
    _, good = add(ledger, "good", "optim.weight_decay=0.08")
    stream = read_stream(ledger.rows())
    content = json.loads(dump_json(stream_content(stream, ledger)))
    assert [one["answer"] for one in content["ideas"]] == ["drop", "keep"]
    second = content["ideas"][1]
    assert second["keep_evidence"] >= second["evidence_needed"] == 1 / second["level"]
    assert second["interval"][0] < second["improvement"] < second["interval"][1]
    assert content["standing_baseline"]["name"] == "good" and "pins" not in content["terms"]
    assert content["runs"] == sum(one["runs"] for one in content["ideas"])
    lines = list(describe_stream(stream))
    assert lines[1].startswith("standing baseline: good (output_root=")
    assert [line.split()[:3] for line in lines[3:5]] == [
        ["1", "tiny", "drop"], ["2", "good", "keep"]
    ]  # fmt: skip
    assert "2 ideas: 1 keep, 1 drop; " in lines[5]
    assert describe_trial(good, stream).startswith("good: keep, improvement +0.0")


@pytest.mark.long
def test_a_plan_says_what_a_trial_would_take(tmp_path: Path, texts: Texts) -> None:
    ledger, stream = started(tmp_path, texts, lr="search")
    trial, arms = prepare(stream, "good", ("optim.weight_decay=0.08",))
    assert arms is not None
    lines = list(describe_plan(stream, trial, arms))
    assert "kept if its evidence reaches 112" in lines[0]
    assert "assumed" in lines[5] and pair_sd(stream)[0] > 0.04
    assert lines[6].startswith("runs: at most 17 of the idea, 5 of them to search")
    assert "at most 17 of the baseline" in lines[6]
    add(ledger, "good", "optim.weight_decay=0.08")
    stream = read_stream(ledger.rows())
    assert 0.005 < pair_sd(stream)[0] < 0.03
    assert run_seconds(stream, tmp_path / "outputs") == 2.0
    assert pair_sd(stream)[1] == "over 1 idea of the ledger"
