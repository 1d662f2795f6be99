"""Load a run or an exported model, and train from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

import lmlab
from lmlab.build import factory
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose, load_frozen
from lmlab.config.identity_settings import identity_settings
from lmlab.errors import ConfigError, DataError
from lmlab.evaluate import evaluate
from lmlab.export.folder import export_run
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute


@pytest.fixture
def run(overrides: list[str]) -> RunFolder:
    """A run of about a second."""
    return execute(compose([*overrides, "optim.lr=1e-2"])).run


def test_load_returns_the_best_or_the_last_weights(run: RunFolder) -> None:
    model, tokenizer = lmlab.load(run.path)
    assert not model.training
    last, _ = lmlab.load(str(run.path), checkpoint="last", device="cpu")
    saved = safetensors.torch.load_file(run.checkpoints / "step_00000020" / "model.safetensors")
    assert torch.equal(last.head.weight, saved["head.weight"])
    ids = tokenizer.encode("The cat sat")
    assert model(torch.tensor([ids])).shape == (1, len(ids), 280)
    with pytest.raises(ConfigError, match="best or last"):
        lmlab.load(run.path, checkpoint="newest")
    with pytest.raises(
        DataError, match=r"not a run folder \(no config\.yaml\) or Hugging Face model directory"
    ):
        lmlab.load(run.path.parent)
    with pytest.raises(DataError, match="nowhere: no such folder"):
        lmlab.load(run.path / "nowhere")


def test_training_starts_from_a_folder_at_any_path(
    run: RunFolder, overrides: list[str], texts: tuple[Path, Path], tmp_path: Path
) -> None:
    export_run(run.path, tmp_path / "a", check=False)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    rest = [word for word in overrides if not word.startswith("model.")]

    def words(name: str) -> list[str]:
        folder = tmp_path / name
        return [*rest, "study=more", "model=imported", f"model.init.path={folder}",
                "tokenizer=saved", f"tokenizer.path={folder}"]  # fmt: skip

    config = compose(words("a"))
    assert identity_settings(config) == identity_settings(compose(words("b")))
    outcome = execute(config)
    first, last = outcome.run.rows("validation")[0], outcome.run.rows("validation")[-1]
    exported = evaluate(lmlab.load(tmp_path / "a", device="cpu"), texts[1])
    assert first["loss"] == pytest.approx(exported.loss, abs=1e-6)
    assert last["loss"] < first["loss"]
    again = load_frozen(outcome.run.config)
    assert factory.build_model(resolve(again)).num_parameters() > 0
    (tmp_path / "a" / "model.safetensors").write_bytes(
        (tmp_path / "a" / "model.safetensors").read_bytes()[:-1] + b"x"
    )
    with pytest.raises(DataError, match="have changed"):
        factory.build_model(resolve(again))


def test_a_folder_of_an_unsupported_architecture_is_not_loaded(
    run: RunFolder, tmp_path: Path
) -> None:
    export_run(run.path, tmp_path / "out", check=False)
    path = tmp_path / "out" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "phi"}))
    with pytest.raises(DataError, match="model_type=phi: expected one of llama"):
        lmlab.load(tmp_path / "out")


@pytest.mark.parametrize(
    ("status", "kept", "message", "help"),
    [
        ("diverged", None, "the run diverged at step 7 and kept no weights", "train first with"),
        ("failed", None, r"no checkpoint yet \(status: failed\)", "train first: rerun"),
        ("done", None, "the checkpoints of the run were removed", "train it again"),
        ("done", "step_00000007", "no best checkpoint", "set checkpoint=last"),
    ],
)
def test_a_run_without_weights_says_why(
    tmp_path: Path, status: str, kept: str | None, message: str, help: str
) -> None:
    (tmp_path / "config.yaml").write_text("{}")
    RunFolder(tmp_path).write_status(status, step=7, steps=20)
    RunFolder(tmp_path).append_row({"kind": "validation", "step": 7, "loss": 1.0})
    if kept is not None:
        (tmp_path / "checkpoints" / kept).mkdir(parents=True)
    with pytest.raises(DataError, match=message) as caught:
        lmlab.load(tmp_path, device="cpu")
    assert str(caught.value.help).startswith(help)


def test_a_folder_whose_settings_were_edited_is_not_loaded(
    run: RunFolder, overrides: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    text = run.config.read_text()
    run.config.write_text(
        text.replace("  eps: 1.0e-05", "  eps: 0.5").replace("arm:", "arm: x  # ")
    )
    assert run.config.read_text() != text
    for use in (lmlab.load, lambda path: export_run(path, path.parent / "to", check=False)):
        with pytest.raises(DataError, match=r"changed since .*model\.norm\.eps: 1e-05 -> 0\.5"):
            use(run.path)
    longer = [*overrides, "optim.lr=1e-2", "training.steps=25", f"parent={run.path}"]
    with pytest.raises(ConfigError, match=r"parent=.*model\.norm\.eps: 1e-05 -> 0\.5"):
        execute(compose(longer))
    run.write_status("interrupted", step=20, steps=20)
    assert execute(compose([*overrides, "optim.lr=1e-2"])).run == run
    assert "restoring it (meta.json -> config.yaml): model.norm.eps: 1e-05 -> 0.5" in caplog.text
    lmlab.load(run.path)
