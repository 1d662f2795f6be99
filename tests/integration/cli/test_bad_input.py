"""Bad input: one message, exit code 2, no traceback, and no folder unless something started."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from warm import run_command

TEXT = "The cat sat on the mat. " * 200


def lmlab(
    name: str, *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"WANDB_MODE": "offline"} | (env or {})
    return run_command(name, *arguments, cwd=cwd, env=environment)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Check exit code and form of an error; return the message."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert re.match(r"(data\.train: no <\|endoftext\|> .*\n)?error: ", done.stderr), done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stderr.count("error:") == 1
    return done.stderr


SMALL = ["model.vocab_size=270", "model.context_length=16", "logger=none", "runtime.device=cpu"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["optim.lrr=1"], ["optim.lrr", 'did you mean "optim.lr"']),
        (["model.norm=pots"], ["model", "norm", "pots", "none", "rms", 'did you mean "post"']),
        (["model/norm=pots"], ["pots", 'did you mean "post"']),
        (["modle=tiny"], ["modle", 'did you mean "model"']),
        (["model.norm.epss=1e-5"], ["model.norm.epss", "eps"]),
        (["training.steps=many"], ["training.steps", "many"]),
        (["optim.lr=fast"], ["optim.lr", "fast"]),
        (["model.d_model=100", "model.num_heads=3"], ["model.d_model=100", "num_heads"]),
        (["model.vocab_size=100"], ["vocab_size", "100", "257"]),
        (["training.steps=-1"], ["training.steps=-1"]),
        (["schedule.warmup_steps=100000"], ["warmup_steps", "100000"]),
        (["runtime.device=tpu"], ["runtime.device", "tpu", "cpu"]),
        (["model.norm._target_=os.system"], ["_target_", "os.system"]),
        (["training.steps"], ["training.steps"]),
        (["data=text"], ["data.train: missing required setting", "help: set data.train=..."]),
        (
            ["model=imported"],
            ["model.init.path: missing required setting", "help: set model.init.path=..."],
        ),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path: Path, arguments: list[str], parts: list[str]) -> None:
    message = refused(lmlab("train", *arguments, cwd=tmp_path))
    assert all(part in message for part in parts), message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("swept", ["optim.lr=1e-3,fast", "+training.zloss=0.9,0.99"])
def test_a_wrong_setting_in_a_sweep_starts_no_job(tmp_path: Path, swept: str) -> None:
    done = lmlab("train", "-m", swept, cwd=tmp_path)
    assert swept.partition("=")[0].lstrip("+") in refused(done)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_setting_is_refused_before_torch_is_imported(tmp_path: Path) -> None:
    script = (
        "import runpy, sys\n"
        "sys.argv = ['train', 'optim.lrr=1']\n"
        "try: runpy.run_module('lmlab.train', run_name='__main__')\n"
        "except SystemExit as stop: assert stop.code == 2\n"
        "heavy = {'torch', 'wandb', 'matplotlib', 'submitit'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def text_data(folder: Path) -> list[str]:
    return ["data=text", f"data.train={folder / 'train.txt'}", f"data.valid={folder / 'valid.txt'}"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.txt").write_text(TEXT)
    (tmp_path / "valid.txt").write_text(TEXT[:2000] + "Another end.")
    return tmp_path


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, ["train.txt"]),
        (b"", ["train.txt", "empty"]),
        (b"fine so far \xff and on", ["train.txt", "UTF-8", "12"]),
        (b"cut at the end \xc3", ["train.txt", "UTF-8", "15"]),
    ],
)
def test_an_unusable_text_is_refused(folder: Path, content: bytes | None, parts: list[str]) -> None:
    (folder / "train.txt").unlink()
    if content is not None:
        (folder / "train.txt").write_bytes(content)
    message = refused(lmlab("train", *text_data(folder), *SMALL, cwd=folder))
    assert all(part in message for part in parts), message
    assert not list(folder.glob("outputs/runs"))


def test_a_text_shorter_than_the_context_is_refused(folder: Path) -> None:
    (folder / "valid.txt").write_text("Short.")
    message = refused(lmlab("train", *text_data(folder), *SMALL, cwd=folder))
    assert "context_length" in message
    assert not list(folder.glob("outputs/runs"))


def test_a_vocabulary_larger_than_the_text_allows_is_refused(folder: Path) -> None:
    small = [setting for setting in SMALL if "vocab_size" not in setting]
    arguments = [*text_data(folder), *small, "model.vocab_size=5000"]
    done = lmlab("train", *arguments, cwd=folder)
    assert done.returncode == 2
    remark, warning, *error = done.stderr.strip().splitlines()
    assert "data.train: no <|endoftext|> stands between documents" in remark
    assert "this text has no more pairs to merge" in warning
    assert len(error) == 2 and error[1].startswith("help: ")
    assert re.match(
        r"error: model.vocab_size=5000: expected \d+, the size of the tokenizer", error[0]
    )
    assert not list(folder.glob("outputs/runs"))


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX file permissions")
def test_an_output_folder_that_cannot_be_written_is_refused(folder: Path) -> None:
    (folder / "taken").write_text("a file")
    arguments = [*text_data(folder), *SMALL, f"output_root={folder / 'taken'}"]
    assert "taken" in refused(lmlab("train", *arguments, cwd=folder))
    assert (folder / "taken").read_text() == "a file"
    if os.geteuid() != 0:  # root may write anywhere
        (folder / "closed").mkdir(mode=0o500)
        arguments[-1] = f"output_root={folder / 'closed' / 'out'}"
        assert "permission" in refused(lmlab("train", *arguments, cwd=folder))


def test_a_missing_device_is_refused(folder: Path) -> None:
    small = [setting for setting in SMALL if "device" not in setting]
    arguments = [*text_data(folder), *small, "runtime.device=cuda:99"]
    message = refused(lmlab("train", *arguments, cwd=folder))
    assert "runtime.device=cuda:99" in message
    assert "cpu" in message
    assert not (folder / "outputs").exists()


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_loses_no_checkpoint(folder: Path, small_disk: Path) -> None:
    arguments = [
        *text_data(folder), *SMALL, f"output_root={small_disk}", "arm=x", "training.steps=40",
        "training.batch_size=2", "schedule.warmup_steps=2", "checkpoint.every_steps=10",
        "model.d_model=32", "model.num_layers=1", "model.num_heads=2", "model.d_ff=64",
        "validation.every_steps=40", "checkpoint.keep_last=100", "samples.max_new_tokens=4",
        "runtime.preflight=off",  # which would refuse to start
    ]  # fmt: skip
    run = small_disk / "runs" / "x" / "seed0"
    filler = small_disk / "filler"
    # Space for the caches and about two checkpoints (0.35 MB each), not for all four.
    filler.write_bytes(b"\0" * 1_900_000)
    done = lmlab("train", *arguments, cwd=folder)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    error, advice = done.stderr.splitlines()[-2:]
    assert "disk is full" in error
    assert advice.startswith("help: free some space")
    saved = sorted((run / "checkpoints").glob("step_*"))
    assert saved, "no checkpoint was written before the disk was full"
    before = {path: path.read_bytes() for step in saved for path in step.iterdir()}

    done = lmlab("train", *arguments, cwd=folder)
    assert (done.returncode, "disk is full" in done.stderr) == (2, True), "still full"
    assert {path: path.read_bytes() for path in before} == before

    filler.unlink()
    done = lmlab("train", *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "resuming" in (run / "train.log").read_text()
    assert "done at step 40" in done.stdout
