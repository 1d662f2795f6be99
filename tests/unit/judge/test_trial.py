"""Trials of ideas, with simulated runs: answers, levels, resumption, and moves of the baseline."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from judged_ideas import SD, SimulatedLauncher, add, kinds, of_decay, started

from lmlab.errors import ConfigError, DataError
from lmlab.judge.admission import known_overrides
from lmlab.judge.stream import read_stream
from lmlab.judge.trial import give_up, prepare
from lmlab.study.online_level import e_lond_level

Texts = tuple[Path, Path]
GOOD, BAD = "optim.weight_decay=0.08", "optim.weight_decay=-0.08"


def test_good_ideas_are_kept_and_bad_ones_dropped(tmp_path: Path, texts: Texts) -> None:
    ledger, _ = started(tmp_path, texts)
    assert add(ledger, "worse", "optim.betas=[0.8,0.95]")[1].answer in ("drop", "cannot tell")
    code, trial = add(ledger, "good", GOOD)
    assert (code, trial.answer) == (0, "keep")
    assert 4 <= len(trial.pairs) <= 12
    assert math.isclose(sum(trial.improvements) / len(trial.pairs), 0.08, abs_tol=3 * SD)
    assert kinds(ledger)[:2] == ["start", "idea"]


@pytest.mark.long
def test_levels_follow_the_order_of_ideas_and_what_was_kept(tmp_path: Path, texts: Texts) -> None:
    ledger, _ = started(tmp_path, texts)
    keeps = 0
    for number, gain in enumerate((0.0001, 0.3, 0.4, 0.4001), 1):
        _, trial = add(ledger, f"idea{number}", f"optim.weight_decay={gain}")
        assert trial.number == number
        assert trial.level == e_lond_level(0.05, number, keeps)
        keeps += trial.answer == "keep"
    assert keeps == 2


@pytest.mark.long
def test_a_killed_trial_continues_with_the_runs_that_it_has(tmp_path: Path, texts: Texts) -> None:
    whole, _ = started(tmp_path / "whole", texts)
    expected = add(whole, "good", GOOD)[1]
    ledger, _ = started(tmp_path / "killed", texts)
    trained: list[str] = []
    for attempt in range(40):
        launcher = SimulatedLauncher(code=130, most=1 + attempt % 3)
        code, trial = add(ledger, "good", GOOD, launcher=launcher)
        trained += launcher.trained
        if not code:
            break
        assert code == 130 and trial.answer is None
    assert attempt >= 4 and len(set(trained)) == len(trained)  # no run is trained again
    assert trial.answer == expected.answer == "keep"
    assert [(one.seed, one.baseline, one.idea) for one in trial.pairs] == [
        (one.seed, one.baseline, one.idea) for one in expected.pairs
    ]
    assert kinds(ledger).count("idea") == 1


@pytest.mark.long
def test_larger_waves_change_no_answer(tmp_path: Path, texts: Texts) -> None:
    found = []
    for wave in (1, 4):
        ledger, _ = started(tmp_path / str(wave), texts)
        found.append([add(ledger, "good", GOOD, wave=wave)[1], ledger.rows()[-1]])
    answers = [(row["answer"], row["pairs"], row["keep_evidence"]) for _, row in found]
    assert answers[0] == answers[1]
    assert len(found[1][0].pairs) > answers[1][1]  # more pairs than the answer rests on


@pytest.mark.long
def test_runs_of_the_baseline_are_shared_and_trained_once(tmp_path: Path, texts: Texts) -> None:
    ledger, _ = started(tmp_path, texts)
    launcher = SimulatedLauncher()
    add(ledger, "one", "optim.weight_decay=0.0001", launcher=launcher)
    add(ledger, "two", "optim.weight_decay=0.0002", launcher=launcher)
    assert len(set(launcher.trained)) == len(launcher.trained)
    stream = read_stream(ledger.rows())
    one, two = stream.trials
    assert one.seeds == two.seeds
    assert two.runs == len(two.pairs) + max(0, len(two.pairs) - len(one.pairs))


@pytest.mark.long
def test_fresh_seeds_share_no_run(tmp_path: Path, texts: Texts) -> None:
    ledger, _ = started(tmp_path, texts, seeds="fresh")
    one = add(ledger, "one", "optim.weight_decay=0.0001")[1]
    two = add(ledger, "two", "optim.weight_decay=0.0002")[1]
    assert not {*one.seeds} & {*two.seeds}
    assert (one.runs, two.runs) == (2 * len(one.pairs), 2 * len(two.pairs))


@pytest.mark.long
def test_the_same_settings_under_another_name_are_answered_from_the_ledger(
    tmp_path: Path, texts: Texts
) -> None:
    ledger, _ = started(tmp_path, texts)
    first = add(ledger, "one", "optim.weight_decay=0.0001", "schedule=cosine")[1]
    rows = len(ledger.rows())
    again = add(ledger, "other", "schedule=cosine", "optim.weight_decay=1e-4")[1]
    assert again == first and len(ledger.rows()) == rows
    near = add(ledger, "near", "optim.weight_decay=0.00011")[1]
    assert near.number == 2  # a near copy costs a level of its own


@pytest.mark.long
def test_a_name_stands_for_one_idea(tmp_path: Path, texts: Texts) -> None:
    ledger, _ = started(tmp_path, texts)
    add(ledger, "one", "optim.weight_decay=0.0001")
    with pytest.raises(ConfigError, match="another idea of this name"):
        add(ledger, "one", "optim.weight_decay=0.0002")
    stream = read_stream(ledger.rows())
    assert known_overrides(stream, "one", ()) == ("optim.weight_decay=0.0001",)
    with pytest.raises(ConfigError, match="expected overrides"):
        known_overrides(stream, "two", ())


@pytest.mark.long
def test_the_baseline_moves_to_what_is_kept_on_fresh_seeds(tmp_path: Path, texts: Texts) -> None:
    ledger, _ = started(tmp_path, texts)
    waiting = add(ledger, "waits", "optim.weight_decay=0.0001", launcher=SimulatedLauncher(code=1))
    assert waiting[0] == 1
    kept = add(ledger, "good", GOOD)[1]
    stream = read_stream(ledger.rows())
    assert stream.standing.name == "good" and GOOD in stream.standing.overrides
    assert stream.trials[0].withdrawn and not stream.trials[0].is_open
    nothing = add(ledger, "again", "optim.weight_decay=0.0801")[1]
    assert not {*kept.seeds} & {*nothing.seeds} and nothing.baseline == 1
    assert abs(sum(nothing.improvements)) / len(nothing.pairs) < 0.03  # against the new baseline
    with pytest.raises(ConfigError, match="change nothing"):
        add(ledger, "same", GOOD)
    restarted = add(ledger, "waits", "optim.weight_decay=0.0001")[1]
    assert restarted.number == 4 and restarted.answer == "drop"


@pytest.mark.long
def test_without_moves_the_first_baseline_stays(tmp_path: Path, texts: Texts) -> None:
    ledger, _ = started(tmp_path, texts, moves=False)
    add(ledger, "good", GOOD)
    stream = read_stream(ledger.rows())
    assert stream.standing.name == "baseline" and stream.keeps == 1


@pytest.mark.long
def test_an_idea_that_diverges_is_dropped(tmp_path: Path, texts: Texts) -> None:
    ledger, _ = started(tmp_path, texts)

    def effect(content: object) -> float:
        gain = of_decay(content)  # type: ignore[arg-type]
        return math.nan if gain else gain

    _, trial = add(ledger, "diverges", GOOD, launcher=SimulatedLauncher(effect))
    assert trial.answer == "drop" and "diverged with seed 0" in trial.reason


@pytest.mark.long
def test_an_idea_that_trains_at_no_rate_is_dropped(tmp_path: Path, texts: Texts) -> None:
    ledger, _ = started(tmp_path, texts, lr="search")
    launcher = SimulatedLauncher(lambda content: math.nan if of_decay(content) else 0.0)
    _, trial = add(ledger, "diverges", GOOD, launcher=launcher)
    assert trial.answer == "drop" and "every learning rate" in trial.reason


@pytest.mark.long
def test_a_baseline_that_diverges_is_an_error(tmp_path: Path, texts: Texts) -> None:
    ledger, _ = started(tmp_path, texts)
    with pytest.raises(DataError, match="the baseline diverged with seed 0"):
        add(ledger, "good", GOOD, launcher=SimulatedLauncher(lambda content: math.nan))


@pytest.mark.long
def test_rates_are_searched_on_seeds_that_never_judge(tmp_path: Path, texts: Texts) -> None:
    ledger, _ = started(tmp_path, texts, lr="search", num_tuning_seeds=2)
    launcher = SimulatedLauncher()
    _, trial = add(ledger, "good", GOOD, "optim.lr=1e-2", launcher=launcher)
    seeds = {int(name.rpartition("seed")[2]) for name in launcher.trained}
    assert {1000, 1001} <= seeds and not {*trial.seeds} & {1000, 1001}
    assert trial.rates[1] == pytest.approx(3e-3, rel=0.5)  # of the simulated losses, not 1e-2
    assert trial.answer == "keep"


def test_an_idea_whose_runs_fail_can_be_given_up(tmp_path: Path, texts: Texts) -> None:
    ledger, _ = started(tmp_path, texts)
    add(ledger, "fails", "optim.weight_decay=0.0001", launcher=SimulatedLauncher(code=1, most=0))
    with ledger.lock():
        trial = give_up(ledger, read_stream(ledger.rows()), "fails")
    assert (trial.answer, trial.pairs) == ("drop", [])
    stream = read_stream(ledger.rows())
    assert stream.next_level() == e_lond_level(0.05, 2, 0)  # its level is spent
    with pytest.raises(ConfigError, match="expected an open idea: none is"):
        give_up(ledger, stream, "fails")


def test_preparing_an_idea_writes_nothing(tmp_path: Path, texts: Texts) -> None:
    ledger, stream = started(tmp_path, texts)
    trial, _ = prepare(stream, "good", (GOOD,))
    assert trial.number == 1 and kinds(ledger) == ["start"]
