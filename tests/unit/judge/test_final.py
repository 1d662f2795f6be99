"""The last word: once, on a text that decided nothing, with runs that decided nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from judged_ideas import SimulatedLauncher, add, kinds, started

from lmlab.errors import ConfigError
from lmlab.judge import final
from lmlab.judge.admission import known_overrides
from lmlab.judge.final import FinalRun, check_final, conclude, speak
from lmlab.judge.ledger import Ledger
from lmlab.judge.stream import read_stream

Texts = tuple[Path, Path]
GOOD = "optim.weight_decay=0.08"


@pytest.fixture
def apart(tmp_path: Path) -> str:
    file = tmp_path / "apart.txt"
    file.write_text("".join(f"Fable {n}. A bird sang.\n<|endoftext|>\n" for n in range(9)))
    return str(file)


def refused(ledger: Ledger, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_final(read_stream(ledger.rows()), ledger)
    assert caught.value.help


@pytest.mark.long
def test_without_a_text_or_a_kept_idea_there_is_no_last_word(
    tmp_path: Path, texts: Texts, apart: str
) -> None:
    refused(started(tmp_path, texts, "without")[0], "no held-out text")
    ledger, _ = started(tmp_path, texts, final_text=apart)
    refused(ledger, "the baseline has not moved")
    add(ledger, "waits", GOOD, launcher=SimulatedLauncher(code=1))
    refused(ledger, "waits: open")


def test_the_text_is_used_once(
    tmp_path: Path, texts: Texts, apart: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, _ = started(tmp_path, texts, final_text=apart)
    kept = add(ledger, "good", GOOD)[1]
    stream = read_stream(ledger.rows())
    check_final(stream, ledger)
    read: list[FinalRun] = []

    def measure(runs: list[FinalRun], *_: object) -> dict[int, dict[str, float]]:
        read.extend(runs)
        return {run.seed: {"baseline": 2 + run.seed / 1000, "standing": 1.9} for run in runs}

    monkeypatch.setattr(final, "measure", measure)
    with ledger.lock():
        assert speak(ledger, stream, SimulatedLauncher(code=130, most=5)) == 130
        assert not read and kinds(ledger)[-1] == "closed"
        with pytest.raises(ConfigError, match="last word has been spoken"):
            known_overrides(read_stream(ledger.rows()), "late", (GOOD,))
        assert speak(ledger, read_stream(ledger.rows()), SimulatedLauncher()) == 0
    assert len(read) == 24 and not {run.seed for run in read} & {*kept.seeds}
    row = read_stream(ledger.rows()).final
    assert row is not None and row["answer"] == "holds" and len(row["pairs"]) == 12
    refused(ledger, "expected a held-out text to be used once")


def test_a_text_that_was_edited_is_refused(tmp_path: Path, texts: Texts, apart: str) -> None:
    ledger, _ = started(tmp_path, texts, final_text=apart)
    add(ledger, "good", GOOD)
    Path(apart).write_text("Another fable.\n")
    refused(ledger, "its content has changed")


@pytest.mark.parametrize(
    ("gains", "word"),
    [((0.1, 0.12, 0.11), "holds"), ((-0.1, -0.12, -0.11), "does not hold"),
     ((0.1, -0.12, 0.03), "cannot tell")],
)  # fmt: skip
def test_the_word_follows_the_interval(gains: tuple[float, ...], word: str) -> None:
    losses = {seed: {"baseline": 2.0, "standing": 2.0 - gain} for seed, gain in enumerate(gains)}
    row = conclude(losses, 0.05)
    assert row["answer"] == word
    assert row["interval"][0] < row["improvement"] < row["interval"][1]
