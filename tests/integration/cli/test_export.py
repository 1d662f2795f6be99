"""``python -m lmlab.export`` of runs and tokenizers."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.export.__main__ import COMMAND
from lmlab.export.__main__ import main as export_main
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute
from lmlab.tokenizer import Tokenizer


@pytest.fixture
def run(overrides: list[str]) -> RunFolder:
    """A run of about a second."""
    return execute(compose([*overrides, "optim.lr=1e-2"])).run


def test_an_export_is_checked_complete_and_described(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    target = tmp_path / "out"
    assert export_main([f"run={run.path}", f"to={target}"]) == 0
    printed = capsys.readouterr().out
    assert "LlamaForCausalLM" in printed
    assert "largest logit difference" in printed
    card = (target / "README.md").read_text()
    best = min(run.rows("validation"), key=lambda row: row["loss"])
    for part in (f"{best['loss']:.4f}", "SHA-256", "(learning_curve.png)"):
        assert part in card
    assert (target / "learning_curve.png").is_file()
    assert export_main([f"run={run.path}", f"to={target}"]) == 0, "an export may be made again"
    before = sorted(path.name for path in target.iterdir())
    assert export_main([f"run={run.path}", f"to={run.path}"]) == 2, "a run is not overwritten"
    assert "exists and is not an export" in capsys.readouterr().err
    assert sorted(path.name for path in target.iterdir()) == before
    assert not list(tmp_path.glob(".out-*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected exactly one of run=FOLDER and tokenizer=FOLDER"),
        (["run=r", "tokenizer=t"], "expected exactly one of run=FOLDER and tokenizer=FOLDER"),
        (["run=r", "format=gpt2"], "format=gpt2: valid only with tokenizer=FOLDER"),
        (["tokenizer=t", "checkpoint=last"], "checkpoint=last: valid only with run=FOLDER"),
        (["tokenizer=t", "check=off"], "check=off: valid only with run=FOLDER"),
        (["tokenizer=t", "format=gpt3"], "format=gpt3: expected one of hf, gpt2, tiktoken, lmlab"),
        (["run=r", "check=on"], "check=on: expected one of auto, off"),
    ],
)
def test_an_option_without_effect_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        COMMAND.read([*arguments, "to=out"])


@pytest.mark.parametrize("name", ["hf", "gpt2", "tiktoken", "lmlab"])
def test_a_tokenizer_is_converted_to_every_format(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = {byte: bytes([byte]) for byte in range(256)} | {256: b"ab"}
    tokenizer = Tokenizer(base, [(b"a", b"b")], ["<|endoftext|>"])
    tokenizer.save(tmp_path / "source")
    arguments = [f"tokenizer={tmp_path / 'source'}", f"to={tmp_path / 'out'}", f"format={name}"]
    assert export_main(arguments) == 0
    printed = capsys.readouterr().out.split()
    assert printed and all(Path(path).is_file() for path in printed)


def test_a_folder_without_a_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export_main([f"run={tmp_path}", f"to={tmp_path / 'out'}"]) == 2
    assert "not a run folder (no config.yaml)" in capsys.readouterr().err
    assert export_main([f"run={tmp_path / 'nowhere'}", f"to={tmp_path / 'out'}"]) == 2
    assert "nowhere: no such folder\nhelp: list the runs with: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
