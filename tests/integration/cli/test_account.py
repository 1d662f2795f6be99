"""``python -m lmlab.account`` from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lmlab.account import COMMAND, Request, main, parse
from lmlab.config.compose import compose, to_yaml
from lmlab.errors import ConfigError


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(list(arguments)) == code
    printed = capsys.readouterr()
    return printed.err if code else printed.out


def test_the_costs_of_gpt2_xl(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["model=gpt2_xl", "memory=80GB", "peak=19.5TFLOP/s", "training.steps=400000",
             "training.batch_size=1024", "training.micro_batch_size=1"]  # fmt: skip
    printed = run(capsys, *arguments)
    for figure in ("2,127,057,600", "8.51 GB", "4,513,336,524,800", "1,422 s", "6,583.6 days",
                   "26.17 GB + 15.31 GB x B", "largest batch: 3", "16 L + 1"):  # fmt: skip
        assert figure in printed, figure
    found = json.loads(run(capsys, *arguments, "--json"))
    assert found["parameters"]["total"] == 2127057600
    assert found["memory"]["largest_batch"] > 3
    assert found["time"]["step_seconds"] == pytest.approx(1422.0, abs=0.1)
    table = run(capsys, *arguments, "--markdown")
    assert "| forward | 4,513,336,524,800 |" in table


def test_the_memory_of_a_small_model_is_not_rounded_to_zero(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # V = 300, T = 8, L = 1, D = 4, H = 1: P = 2400 + 200 + 4, and 4 (17 T D + 2 T^2 + T V + T).
    sizes = ["vocab_size=300", "context_length=8", "num_layers=1", "d_model=4", "num_heads=1"]
    printed = run(capsys, *(f"model.{size}" for size in sizes))
    assert "peak(B) = 41.66 kB + 12.32 kB x B" in printed


def test_models_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare=[gpt2_small,gpt2_xl model.context_length=16384]", "--json"]
    found = json.loads(run(capsys, *arguments))
    assert list(found) == ["gpt2_small", "gpt2_xl model.context_length=16384"]
    long = found["gpt2_xl model.context_length=16384"]["flops"]
    assert long["forward"] == 149522795724800
    assert "65.9%" in run(capsys, *arguments[:1])


def test_a_sweep_draws_the_shares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "shares.png"
    printed = run(capsys, "model=gpt2_xl", "model.context_length=1024,16384", f"figure={figure}")
    rows = [line for line in printed.splitlines() if "===" in line]
    assert [row.count("#") for row in rows] == [12, 26]
    for path in (figure, figure.with_suffix(".svg"), figure.with_suffix(".pdf")):
        assert path.exists() and f"Figure: {path}" in printed.replace("\n", "")
    kinds = ["shares.bmp", "shares.jpg", "shares"]
    for argument in (f"figure={tmp_path / kind}" for kind in kinds):
        message = run(capsys, "model.d_model=256,512", argument, code=2)
        assert f"{argument}: expected FILE.png, FILE.svg or FILE.pdf" in message
    assert len(list(tmp_path.iterdir())) == 3
    assert "512" in run(capsys, "model.d_ff=auto", "model.d_model=256,512")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("model=gpt3", "model=gpt3: expected one of"),
        (
            "model.d_model=100",
            "model.num_heads=3: expected a divisor of model.d_model=100",
        ),
        ("model.num_layers=0", "model.num_layers=0: expected 1 or more"),
        ("modle=tiny", "modle"),
        ("memory=80", "memory=80: expected a number above 0 with a unit"),
        ("memory=80 gigs", "memory=80 gigs: expected"),
        ("peak=fast", "peak=fast: expected FLOP/s"),
        ("mfu=2", "mfu=2: expected a number above 0 and at most 1"),
        ("mfu=0", "mfu=0: expected a number above 0 and at most 1"),
        ("attention=flash", "attention=flash: expected one of fused, plain"),
        ("loss_chunk=0", "loss_chunk=0: expected an integer of 1 or more, or null"),
        ("checkpointing=yes", "checkpointing=yes: expected true or false"),
        ("compare=gpt2_xl", "compare=gpt2_xl: expected a list"),
        ("compare=[]", "compare=[]: expected a list"),
        ("compare=[tiny,]", "compare=[tiny,]: expected no empty entry"),
        ("figure=a.png", "figure=a.png: valid only with a sweep"),
        ("--yaml", "--yaml: expected one of the options config, run, compare, memory"),
        ("gpt2_xl", "gpt2_xl: expected key=value\nhelp: write model=gpt2_xl to select a model"),
    ],
)
def test_a_mistake_is_a_message_with_help(
    capsys: pytest.CaptureFixture[str], argument: str, message: str
) -> None:
    arguments = [argument, "model.num_heads=3"] if argument == "model.d_model=100" else [argument]
    printed = run(capsys, *arguments, code=2)
    assert printed.startswith("error: ") and message in printed
    assert len(printed.splitlines()) <= 2


def request(*arguments: str) -> Request:
    return parse(COMMAND.read(arguments))


def test_two_sweeps_are_refused() -> None:
    with pytest.raises(ConfigError, match="one key"):
        request("model.d_model=64,128", "model.num_layers=1,2")
    with pytest.raises(ConfigError, match="not both"):
        request("model.d_model=64,128", "compare=[tiny]")


def test_options_and_settings_are_told_apart() -> None:
    found = request("--memory", "80GB", "optim=sgd", "mfu=0.25", "seed=1", "--checkpointing")
    assert found.overrides == ("optim=sgd", "seed=1")
    assert found.cost_options.memory == 80 * 10**9
    assert (found.cost_options.mfu, found.cost_options.checkpointing) == (0.25, True)
    assert request("checkpointing=true").cost_options.checkpointing
    assert request("memory=80 GiB").cost_options.memory == 80 * 2**30
    assert request("loss_chunk=null", "figure=null").cost_options.loss_chunk is None


def test_counting_needs_neither_torch_nor_numpy() -> None:
    script = (
        "import sys\n"
        "from lmlab.account import main\n"
        "assert main(['model=gpt2_xl', 'memory=80GB']) == 0\n"
        "heavy = {'torch', 'numpy', 'scipy', 'matplotlib', 'wandb'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert "usage: python -m lmlab.account" in run(capsys, "--help")


def test_parameters_and_flops_need_no_counts_of_the_optimizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "optimizer_of_test.py").write_text(
        "class Mine:\n    def __init__(self, params, lr: float): ...\n"
    )
    (tmp_path / "conf" / "optim").mkdir(parents=True)
    (tmp_path / "conf" / "optim" / "mine.yaml").write_text(
        "_target_: optimizer_of_test.Mine\nlr: 1.0\n"
    )
    (tmp_path / "lmlab").mkdir()
    (tmp_path / "lmlab" / "config.yaml").write_text(
        f"trusted_packages: [optimizer_of_test]\nsearch_path: [{tmp_path / 'conf'}]\n"
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["model=nano", "--json"]) == 0
    known = json.loads(capsys.readouterr().out)
    assert main(["model=nano", "optim=mine", "memory=1GB", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"] == known["parameters"]
    assert found["flops"] == known["flops"]
    assert found["memory"]["activations"] == known["memory"]["activations"]
    assert found["memory"]["peak"] is found["disk"]["left"] is None
    assert "optimizer_of_test" in found["missing"][0]
    assert main(["model=nano", "optim=mine", "memory=1GB"]) == 0
    assert "The optimizer's state is unknown" in capsys.readouterr().out
    assert main(["compare=[nano,nano optim=mine]"]) == 0


def test_the_cost_of_a_run_is_that_of_its_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["model=nano", "model.norm=post", "training.batch_size=4"]
    (tmp_path / "config.yaml").write_text(to_yaml(compose(settings)))
    printed = set()
    for arguments in (settings, [str(tmp_path)], [f"run={tmp_path}"], ["--run", str(tmp_path)]):
        assert main(arguments) == 0
        printed.add(capsys.readouterr().out)
    assert len(printed) == 1
    assert main([str(tmp_path), "model=tiny"]) == 2
    assert "expected no settings" in capsys.readouterr().err
