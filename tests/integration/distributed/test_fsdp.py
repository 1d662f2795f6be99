"""Ranks that divide weights, gradients and optimizer state train and save what one process does."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
import safetensors.torch
from launching import (
    STEPS,
    Launcher,
    Trained,
    assert_same_curve,
    at_step,
    break_down,
    kept_by_each,
    last_weights,
    signal_at,
    tell_what_is_kept,
)
from processors import needs_bf16

from lmlab.config.compose import compose
from lmlab.errors import ConfigError, LostRankError
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute

FSDP = "runtime.parallel=fsdp"


def shapes(run: RunFolder) -> dict[str, list[int]]:
    """Of every tensor of the last checkpoint."""
    folder = run.checkpoints / f"step_{STEPS:08d}"
    return {
        name: list(tensor.shape)
        for file in ("model", "training")
        for name, tensor in safetensors.torch.load_file(folder / f"{file}.safetensors").items()
    }


@pytest.fixture(scope="module")
def divided(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The run on two ranks that divide the model, and then write a sample."""
    root = tmp_path_factory.mktemp("divided")
    words = [*settings, FSDP, f"output_root={root / 'outputs'}", "samples.count=1"]
    return Launcher(root)(words, 2, dict.fromkeys((0, 1), tell_what_is_kept))


def test_the_curve_is_that_of_one_process(divided: Trained, alone: RunFolder) -> None:
    assert divided.codes == [0, 0]
    assert divided.errors == []
    assert_same_curve(divided.run, alone)
    assert divided.run.meta()["identity"] == alone.meta()["identity"]
    assert divided.run.meta()["sessions"][0]["parallel"] == "fsdp"
    for key in ("grad_norm", "weight_norm"):
        ours, theirs = ([row[key] for row in one.rows("train")] for one in (divided.run, alone))
        assert ours == pytest.approx(theirs, abs=1e-3), "those of the whole"
    assert "# Samples at step 50" in divided.run.samples.read_text()


def test_the_checkpoint_has_the_form_of_one_process(
    divided: Trained, alone: RunFolder
) -> None:  # fmt: skip
    assert shapes(divided.run) == shapes(alone)
    weights = [safetensors.torch.load(last_weights(run)) for run in (divided.run, alone)]
    for name, tensor in weights[0].items():
        assert (tensor - weights[1][name]).abs().max() < 1e-4, name


def test_each_rank_keeps_about_half_of_all(
    divided: Trained, settings, launch: Launcher, tmp_path: Path
) -> None:  # fmt: skip
    words = [*settings, f"output_root={tmp_path / 'outputs'}", "training.steps=2"]
    whole, same = kept_by_each(launch(words, 2, dict.fromkeys((0, 1), tell_what_is_kept)))
    assert whole == same, "without it, each keeps all"
    parts = kept_by_each(divided)
    assert len(parts) == 2
    for part in parts:
        for ours, theirs in zip(part, whole, strict=True):
            assert 0.4 * theirs < ours < 0.6 * theirs


@pytest.mark.parametrize(
    "words", [["runtime.policy=fast"], ["model.tie_embeddings=false", "optim=sgd"]], ids=str
)
def test_other_parts_do_as_well(
    settings, launch: Launcher, tmp_path: Path, words: list[str]
) -> None:  # fmt: skip
    words = [*settings, *words]
    one = execute(compose([*words, f"output_root={tmp_path / 'one'}"])).run
    two = launch([*words, FSDP, f"output_root={tmp_path / 'two'}"], 2)
    assert two.codes == [0, 0]
    assert_same_curve(two.run, one)


@pytest.fixture(scope="module")
def killed_divided(
    settings: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Trained:  # fmt: skip
    """The run on two ranks that divide the model, of which one is killed in the 24th update."""
    root = tmp_path_factory.mktemp("killed_divided")
    kill = {1: signal_at(23, signal.SIGKILL)}
    return Launcher(root)([*settings, FSDP, f"output_root={root / 'outputs'}"], 2, kill)


def test_a_killed_rank_ends_all_with_one_error(killed_divided: Trained) -> None:
    assert killed_divided.codes == [LostRankError.exit_code, -signal.SIGKILL]
    (error,) = killed_divided.errors
    assert re.search(r"rank 1 of 2 \(process \d+ on .*\) ended without a word", error)
    assert killed_divided.run.status()["status"] == "failed"
    assert "Traceback" not in killed_divided.printed


@pytest.mark.parametrize(("size", "how"), [(2, "fsdp"), (4, "ddp"), (1, "none"), (2, "zero1")])
def test_it_goes_on_otherwise(
    killed_divided: Trained, divided: Trained, resume, size: int, how: str
) -> None:
    resumed = resume(killed_divided, size, how)
    if how == "fsdp":
        assert last_weights(resumed) == last_weights(divided.run), "bit for bit"


@pytest.mark.parametrize("size", [1, 4])
def test_a_run_of_whole_models_goes_on_divided(killed: Trained, resume, size: int) -> None:
    resume(killed, size, "fsdp")


def test_a_signal_stops_all(settings, divided: Trained, launch: Launcher, tmp_path: Path) -> None:
    words = [*settings, FSDP, f"output_root={tmp_path / 'outputs'}"]
    stopped = launch(words, 2, {1: signal_at(12, signal.SIGUSR2)})
    assert stopped.codes == [128 + signal.SIGUSR2] * 2
    assert stopped.run.status()["step"] == 13
    resumed = launch(words, 2)
    assert last_weights(resumed.run) == last_weights(divided.run)


def break_at_seven() -> None:
    at_step(7, break_down)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_bug_ends_all_and_is_kept_with_its_traceback(
    settings, launch: Launcher, tmp_path: Path, rank: int
) -> None:
    words = [*settings, FSDP, f"output_root={tmp_path / 'outputs'}"]
    trained = launch(words, 2, {rank: break_at_seven})
    # Torch holds on to the connections: where rank 0 fails, they close as late as its store.
    assert trained.codes in ([1, 1], [1, LostRankError.exit_code]), trained.printed
    assert trained.printed.count("RuntimeError: a bug\n") == 1
    assert "RuntimeError: a bug\n" in trained.run.status()["reason"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["optim=muon"],
            r"optim\._target_=.*\.MuonAdamW: expected an optimizer that updates shards",
        ),
        pytest.param(
            ["runtime.policy=bf16"],
            r"runtime\.policy=bf16: expected fast or exact with runtime\.parallel=fsdp",
            marks=needs_bf16,
        ),
        (
            ["runtime.compile=true"],
            r"runtime\.compile=true: expected false with runtime\.parallel=fsdp",
        ),
    ],
)
def test_what_cannot_be_divided_is_refused(
    settings, tmp_path: Path, words: list[str], told: str
) -> None:  # fmt: skip
    with pytest.raises(ConfigError, match=told) as error:
        execute(compose([*settings, *words, FSDP, f"output_root={tmp_path}"]))
    assert "\nhelp: set runtime.parallel=zero1, which shards" in str(error.value)
