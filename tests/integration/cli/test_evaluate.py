"""``python -m lmlab.evaluate`` on a trained run."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import lmlab
from lmlab.config.compose import compose
from lmlab.errors import DataError
from lmlab.evaluate import evaluate, main
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute


@pytest.fixture
def run(overrides: list[str]) -> RunFolder:
    """A run of about a second."""
    return execute(compose([*overrides, "optim.lr=1e-2"])).run


def test_evaluation_repeats_the_losses_of_the_run(
    run: RunFolder, texts: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    measured = run.rows("validation")[-1]
    found = evaluate(lmlab.load(run.path, checkpoint="last", device="cpu"), texts[1])
    assert found.loss == pytest.approx(measured["loss"], abs=1e-6)
    assert found.bits_per_byte == pytest.approx(measured["bits_per_byte"], abs=1e-6)
    # A tenth of the text, cut into other batches, and the command itself.
    less = [f"run={run.path}", f"text={texts[1]}", f"text={texts[0]}", "max_tokens=64"]
    assert main([*less, "batch_size=3", "checkpoint=last", "device=cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["text", "loss", "perplexity", "bits/byte", "tokens"]
    assert [line.split()[0] for line in lines[1:]] == [str(texts[1]), str(texts[0]), "total"]
    assert [int(line.split()[-1]) for line in lines[1:]] == [64, 64, 128]


def test_texts_give_a_line_each_and_a_total(
    run: RunFolder, texts: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = tmp_path / "short.txt"
    short.write_text("a bad cab, a fed bee<|endoftext|>a cab")
    files = [str(short), str(texts[1])]
    assert main([str(run.path), *files, "checkpoint=last", "device=cpu"]) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == [*files, "total"]
    loaded = lmlab.load(run.path, checkpoint="last", device="cpu")
    found = [evaluate(loaded, Path(file)) for file in files]
    tokens = [result.num_tokens for result in found]
    num_bytes = [
        len(Path(file).read_text().replace("<|endoftext|>", "").encode()) for file in files
    ]
    nats = [result.loss * result.num_tokens for result in found]
    expected = [
        (f"{n / t:.4f}", f"{n / math.log(2) / b:.4f}", f"{t:,}")
        for n, t, b in zip(
            [*nats, sum(nats)], [*tokens, sum(tokens)], [*num_bytes, sum(num_bytes)], strict=True
        )
    ]
    assert [(row.split()[1], row.split()[3], row.split()[4]) for row in rows] == expected
    # The same by key.
    by_key = [f"run={run.path}", *(f"text={file}" for file in files)]
    assert main([*by_key, "checkpoint=last", "device=cpu"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == rows


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing required option text=FILE or tasks=FILE"),
        (["tasks=nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["tasks={a: b, c"], "tasks={a: b, c: expected a file, or {NAME: FILE}"),
        (["tasks={a: {fil: x}}"], "tasks.a.fil: no such setting of a task"),
        (["tasks=x/a.jsonl", "tasks=y/a.jsonl"], "tasks: expected different names, found a"),
        (["text=nowhere.txt"], "text=nowhere.txt: no such file"),
        (["text=[a.txt,b.txt]"], "help: repeat the key: text=a.txt text=b.txt"),
        (["RUN"], "found the folder of a model\nhelp: evaluate one run at a time"),
        (["text=x", "batch_size=0"], "batch_size=0: expected an integer of 1 or more"),
        (["text=x", "max_tokens=0"], "max_tokens=0: expected an integer of 1 or more, or null"),
        (["txt=x"], 'did you mean "text"?'),
    ],
)
def test_a_mistake_in_the_options_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "config.yaml").write_text("{}")
    typed = [str(tmp_path) if word == "RUN" else word for word in arguments]
    assert main([f"run={tmp_path}", *typed]) == 2
    assert message in capsys.readouterr().err


def test_an_unusable_text_is_refused(run: RunFolder, tmp_path: Path) -> None:
    loaded = lmlab.load(run.path, device="cpu")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 " * 10)
    (tmp_path / "empty.txt").write_text("")
    for name, message in (
        ("latin", "expected UTF-8 text"),
        ("empty", "expected 2 tokens or more, found 0"),
    ):
        with pytest.raises(DataError, match=message):
            evaluate(loaded, tmp_path / f"{name}.txt")


def test_all_texts_are_checked_before_the_first_is_evaluated(
    run: RunFolder, texts: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.txt").write_text("")
    assert main([str(run.path), str(texts[1]), str(tmp_path / "empty.txt"), "device=cpu"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "empty.txt: expected 2 tokens or more, found 0" in printed.err


def test_tasks_have_a_line_each(
    run: RunFolder, texts: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs, cloze = tmp_path / "pairs.jsonl", tmp_path / "cloze.jsonl"
    pairs.write_text('{"good": "a bad cab", "bad": "zz zz"}\n{"good": "a cab", "bad": "a fed"}\n')
    cloze.write_text('{"text": "a bad cab"}\n')
    command = [
        str(run.path), f"tasks={pairs}", f"tasks={{last: {{file: {cloze}, kind: cloze}}}}",
        f"tasks={{wiki: {{text: {texts[1]}}}}}", "checkpoint=last", "device=cpu",
    ]  # fmt: skip
    assert main(command) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["task", "items", "accuracy"]
    assert [row.split()[:2] for row in rows] == [["pairs", "2"], ["last", "1"], ["wiki", "1"]]
    # With a text as well, its table comes first.
    assert main([*command, f"text={texts[1]}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[0] == "text"
    assert lines[2:] == ["", header, *rows]
