"""``python -m lmlab.account`` as a person uses it."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from lmlab.account import main, parse
from lmlab.errors import ConfigError


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(list(words)) == code
    printed = capsys.readouterr()
    return printed.err if code else printed.out


def test_everything_of_gpt2_xl(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["model=gpt2_xl", "memory=80GB", "peak=19.5TFLOP/s", "training.steps=400000",
             "training.batch_size=1024", "training.micro_batch_size=1"]  # fmt: skip
    printed = run(capsys, *words)
    for figure in ("2,127,057,600", "8.51 GB", "4,513,336,524,800", "1,422 s", "6,583.6 days",
                   "26.17 GB + 15.31 GB x B", "largest batch: 3", "16 L + 1"):  # fmt: skip
        assert figure in printed, figure
    found = json.loads(run(capsys, *words, "--json"))
    assert found["parameters"]["total"] == 2127057600
    assert found["memory"]["largest_batch"] > 3
    assert found["time"]["step_seconds"] == pytest.approx(1422.0, abs=0.1)
    table = run(capsys, *words, "--markdown")
    assert "| forward | 4,513,336,524,800 |" in table


def test_a_small_models_memory_on_paper_is_no_zero(capsys: pytest.CaptureFixture[str]) -> None:
    # V = 300, T = 8, L = 1, D = 4, H = 1: P = 2400 + 200 + 4, and 4 (17 T D + 2 T^2 + T V + T).
    sizes = ["vocab_size=300", "context_length=8", "num_layers=1", "d_model=4", "num_heads=1"]
    printed = run(capsys, *(f"model.{size}" for size in sizes))
    assert "peak(B) = 41.66 kB + 12.32 kB x B" in printed


def test_models_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare=[gpt2_small,gpt2_xl model.context_length=16384]", "--json"]
    found = json.loads(run(capsys, *words))
    assert list(found) == ["gpt2_small", "gpt2_xl model.context_length=16384"]
    long = found["gpt2_xl model.context_length=16384"]["flops"]
    assert long["forward"] == 149522795724800
    assert "65.9%" in run(capsys, *words[:1])


def test_a_sweep_draws_the_shares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "shares.png"
    printed = run(capsys, "model=gpt2_xl", "model.context_length=1024,16384", f"figure={figure}")
    rows = [line for line in printed.splitlines() if "===" in line]
    assert [row.count("#") for row in rows] == [12, 26]
    for path in (figure, figure.with_suffix(".svg")):
        assert path.exists() and f"Drawn: {path}" in printed.replace("\n", "")
    kinds = ["shares.bmp", "shares.pdf", "shares"]
    for word in (f"figure={tmp_path / kind}" for kind in kinds):
        told = run(capsys, "model.d_model=256,512", word, code=2)
        assert f"{word}: accepted is FILE.png or FILE.svg" in told
    assert len(list(tmp_path.iterdir())) == 2
    assert "512" in run(capsys, "model.d_ff=auto", "model.d_model=256,512")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("model=gpt3", "model=gpt3: expected one of"),
        ("model.d_model=100", 'model.d_model=100: expected a multiple'),
        ("model.num_layers=0", "model.num_layers=0: expected 1 or more"),
        ("modle=tiny", "modle"),
        ("memory=80", "memory=80: accepted is a number above 0 with a unit: 80GB"),
        ("memory=80 gigs", "memory=80 gigs: accepted is"),
        ("peak=fast", "peak=fast: accepted is FLOP/s"),
        ("mfu=2", "mfu=2: accepted is above 0, at most 1"),
        ("attention=flash", "attention=flash: accepted is fused or plain"),
        ("loss_chunk=0", "loss_chunk=0: accepted is tokens"),
        ("checkpointing=yes", "checkpointing=yes: accepted is true or false"),
        ("compare=gpt2_xl", "compare=gpt2_xl: accepted is a list"),
        ("compare=[]", "compare=[]: accepted is a list"),
        ("figure=a.png", "figure=a.png: it draws a sweep"),
        ("--yaml", '"--yaml": accepted are'),
        ("gpt2_xl", '"gpt2_xl": accepted are'),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], word: str, told: str) -> None:
    words = [word, "model.num_heads=3"] if word == "model.d_model=100" else [word]
    message = run(capsys, *words, code=2)
    assert message.startswith("error: ") and told in message
    assert len(message.splitlines()) == 1


def test_two_sweeps_are_refused() -> None:
    with pytest.raises(ConfigError, match="one key"):
        parse(["model.d_model=64,128", "model.num_layers=1,2"])


def test_units_with_and_without_a_space() -> None:
    assert parse(["memory=80GB"]).question.memory == 80 * 10**9
    assert parse(["memory=80 GiB"]).question.memory == 80 * 2**30


def test_no_torch_and_well_under_a_second() -> None:
    script = (
        "import sys\n"
        "from lmlab.account import main\n"
        "assert main(['model=gpt2_xl', 'memory=80GB']) == 0\n"
        "heavy = {'torch', 'numpy', 'scipy', 'matplotlib', 'wandb'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    # Processor time: the wall clock of a machine that runs other tests tells nothing.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert "usage: python -m lmlab.account" in run(capsys, "--help")
