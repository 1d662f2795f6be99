"""Load, evaluate, export, import and extend a trained model."""

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
from lmlab.evaluate import HELP, Options, evaluate, main, parse
from lmlab.export.__main__ import HELP as EXPORT_HELP
from lmlab.export.__main__ import Options as ExportOptions
from lmlab.export.__main__ import main as export_main
from lmlab.export.__main__ import parse as parse_export
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
        DataError, match=r"expected a run folder \(config\.yaml\) or a Hugging Face model"
    ):
        lmlab.load(run.path.parent)


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
    assert [line.split()[0] for line in lines[1:]] == [str(texts[1]), str(texts[0])]
    assert all(int(line.split()[-1]) == 64 for line in lines[1:])


def test_help_names_every_option() -> None:
    assert all(f"\n  {name}=" in HELP for name in Options.__dataclass_fields__)
    assert all(f"\n  {name}=" in EXPORT_HELP for name in ExportOptions.__dataclass_fields__)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "text=FILE is missing"),
        (["text=nowhere.txt"], "text=nowhere.txt: there is no such file"),
        (["text=x", "batch_size=0"], "batch_size=0: accepted is at least 1"),
        (["txt=x"], 'did you mean "text"'),
    ],
)
def test_invalid_options_are_refused(tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "config.yaml").write_text("{}")
    with pytest.raises((ConfigError, DataError), match=message):
        parse([f"run={tmp_path}", *words])


def test_an_unusable_text_is_refused(run: RunFolder, tmp_path: Path) -> None:
    loaded = lmlab.load(run.path, device="cpu")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 " * 10)
    (tmp_path / "empty.txt").write_text("")
    for name, message in (("latin", "expected UTF-8 text"), ("empty", "has 0 tokens")):
        with pytest.raises(DataError, match=message):
            evaluate(loaded, tmp_path / f"{name}.txt")


def test_an_export_is_checked_complete_and_described(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    target = tmp_path / "out"
    assert export_main([f"run={run.path}", f"to={target}"]) == 0
    printed = capsys.readouterr().out
    assert "LlamaForCausalLM" in printed
    assert "largest difference of a logit" in printed
    card = (target / "README.md").read_text()
    best = min(run.rows("validation"), key=lambda row: row["loss"])
    for part in (f"{best['loss']:.4f}", "SHA-256", "(learning_curve.png)"):
        assert part in card
    assert (target / "learning_curve.png").is_file()
    assert export_main([f"run={run.path}", f"to={target}"]) == 0, "an export may be made again"
    before = sorted(path.name for path in target.iterdir())
    assert export_main([f"run={run.path}", f"to={run.path}"]) == 2, "a run is not overwritten"
    assert "no export made it" in capsys.readouterr().err
    assert sorted(path.name for path in target.iterdir()) == before
    assert not list(tmp_path.glob(".out-*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run=r", "format=gpt2"], "format=gpt2: it goes with tokenizer=FOLDER"),
        (["tokenizer=t", "checkpoint=last"], "checkpoint=last: it goes with run=FOLDER"),
        (["tokenizer=t", "check=off"], "check=off: it goes with run=FOLDER"),
    ],
)
def test_a_setting_that_an_export_would_ignore_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_export([*words, "to=out"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", "mine", "it holds notes.txt"),
        ("src/app.ts", "", "it holds src"),
        ("config.json", '{"api": "https://example.org"}', "it holds no config.json of an export"),
        (
            "config.json",
            '{"lmlab_version": "1", "transformers_version": "5"}',
            "it holds no config.json",
        ),
        ("config.json", "[1]", "it holds no config.json of an export"),
        ("README.md", "mine", "it holds no config.json of an export"),
    ],
)
def test_a_folder_of_other_files_is_not_overwritten(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    target = tmp_path / "app"
    (target / name).parent.mkdir(parents=True)
    if name not in ("config.json", "README.md"):  # a change to what was an export
        (target / "config.json").write_text('{"lmlab_version": "1"}')
    (target / name).write_text(content)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match=rf"to={target}: .*\({message}"):
        export_run(tmp_path / "run", target)
    assert before == {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}


def test_an_export_replaces_one_of_another_kind_and_works_in_the_working_folder(
    run: RunFolder, overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = execute(compose([*overrides, "model.pos=nope", "study=other"])).run
    target = tmp_path / "out"
    target.mkdir()
    monkeypatch.chdir(target)
    export_run(other.path, Path("."), check=False)
    assert (target / "modeling_lmlab.py").is_file()
    export_run(run.path, target, check=False)
    assert not (target / "modeling_lmlab.py").exists()
    assert (target / "learning_curve.png").is_file()


def test_an_export_with_other_logits_is_deleted(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmlab.hf import config_writer, weights

    swapped = weights._LLAMA_LAYER | {
        "ffn.sublayer.gate.weight": "mlp.up_proj.weight",
        "ffn.sublayer.up.weight": "mlp.gate_proj.weight",
    }
    monkeypatch.setattr(weights, "_LLAMA_LAYER", swapped)
    with pytest.raises(DataError, match="transformers computes other logits"):
        export_run(run.path, tmp_path / "out")
    monkeypatch.undo()
    monkeypatch.setitem(config_writer.NORMS, "lmlab.nn.norm.PreRMSNorm", "pre_layer")
    with pytest.raises(DataError, match="computes other logits"):
        export_run(run.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_custom_parts_are_refused_by_name(run: RunFolder, tmp_path: Path) -> None:
    text = run.config.read_text()
    run.config.write_text(text.replace("lmlab.nn.norm.PreRMSNorm", "lmlab.nn.norm.RMSNorm"))
    assert run.config.read_text() != text
    with pytest.raises(ConfigError, match=r"model\.norm"):
        export_run(run.path, tmp_path / "out")


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
