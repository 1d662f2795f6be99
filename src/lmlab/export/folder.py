"""A run's model as a Hugging Face folder, written whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import lmlab
from lmlab.config.compose import load_frozen
from lmlab.errors import DataError
from lmlab.export.card import model_card
from lmlab.export.check import check_export
from lmlab.hf import config_writer as hf_config
from lmlab.hf.weight_files import WEIGHTS
from lmlab.hf.weights import write_weights
from lmlab.nn.transformer import Transformer
from lmlab.run_folder import RunFolder
from lmlab.runs.load import Loaded, load
from lmlab.storage.io import (
    atomic_write_text,
    read_json,
    translate_read_errors,
    translate_write_errors,
    write_json,
)
from lmlab.study.learning_curve import draw_learning_curve
from lmlab.tokenizer import Tokenizer, serialization
from lmlab.tokenizer.convert import write as write_tokenizer
from lmlab.tokenizer.tokenizer import END_OF_TEXT
from lmlab.training.checkpoint_files import find_weights, read_record

CURVE = "learning_curve.png"
_REMOTE = f"{hf_config.REMOTE_MODULE}.py"
_WRITTEN = {
    WEIGHTS, "config.json", "generation_config.json", _REMOTE, serialization.NAME, "tokenizer_config.json",
    CURVE, "README.md",
}  # fmt: skip
_VERSION = "lmlab_version"


def export_run(
    run_folder: Path, target: Path, *, checkpoint: str = "best", check: bool = True
) -> list[str]:
    """Export the model of a run.

    Args:
        run_folder: the run's.
        target: gets the files; a folder of that name is replaced if an export made it and nothing
            was added.
        checkpoint: ``best`` or ``last``.
        check: load the files again before the folder gets its name, in lmlab and, where that is
            installed, in transformers, and compare logits and ids.

    Returns:
        Lines for a person: where it is, as which architecture, and what was checked.

    Raises:
        ConfigError: a part of the model is none of lmlab's own.
        DataError: the run has no weights, the folder is something else, or the check failed.
    """
    with translate_read_errors(target):
        foreign = _foreign(target)
    if foreign is not None:
        raise DataError(
            f"to={target}: it is there and no export made it ({foreign}); choose a new folder"
        )
    config = load_frozen(RunFolder(run_folder).config)
    node = config.model.as_dict()
    hf_config.config_to_hf(node, d_ff=1)  # refuses before anything is loaded
    loaded = load(run_folder, checkpoint=checkpoint, device="cpu")
    content = hf_config.config_to_hf(node, d_ff=_width(loaded.model))
    # Beside the target, so that the renaming is one step of the file system.
    place = target.resolve()
    temporary = place.with_name(f".{place.name}-{uuid.uuid4().hex[:8]}")
    with translate_write_errors(target):
        temporary.mkdir(parents=True)
    try:
        with translate_write_errors(target):
            _write(temporary, content, loaded, run_folder, checkpoint)
        checked = check_export(temporary, loaded) if check else []
        with translate_write_errors(target):
            shutil.rmtree(place, ignore_errors=True)
            os.replace(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return [f"{target}: {content['architectures'][0]}", *(f"  {line}" for line in checked)]


def _foreign(target: Path) -> str | None:
    """What shows that ``target`` is no export; None where it is one, is empty or not there."""
    if not target.is_dir():
        return "it is a file" if target.exists() else None
    names = {path.name for path in target.iterdir()}
    others = sorted(names - _WRITTEN)
    if others:
        return f"it holds {others[0]}"
    return None if not names or _is_marked(target) else "it holds no config.json of an export"


def _is_marked(folder: Path) -> bool:
    try:
        content = read_json(folder / "config.json")
    except (OSError, ValueError):
        return False
    # When transformers saves a model it keeps our key, and adds its own version.
    return (
        isinstance(content, dict) and _VERSION in content and "transformers_version" not in content
    )


def _width(model: Transformer) -> int:
    """F as the feed-forward variant chose it."""
    return int(model.state_dict()["blocks.0.ffn.sublayer.up.weight"].shape[0])


def _write(
    folder: Path, content: dict[str, Any], loaded: Loaded, run_folder: Path, checkpoint: str
) -> None:
    model, tokenizer = loaded
    kind = content["model_type"]
    write_weights(folder, kind, model.state_dict())
    ids = {"bos_token_id": tokenizer.end_of_text_id, "eos_token_id": tokenizer.end_of_text_id}
    made_by = {_VERSION: lmlab.__version__}
    write_json(folder / "config.json", content | ids | {"use_cache": True} | made_by)
    write_json(folder / "generation_config.json", ids)
    if kind == "lmlab":
        shutil.copyfile(Path(hf_config.__file__).with_name(_REMOTE), folder / _REMOTE)
    write_tokenizer(tokenizer, folder, "hf")
    write_json(folder / "tokenizer_config.json", _tokenizer_config(tokenizer, model.context_length))
    run = RunFolder(run_folder)
    curve = (
        draw_learning_curve(run_folder) if not (run.path / CURVE).is_file() else [run.path / CURVE]
    )
    if curve:
        shutil.copyfile(run.path / CURVE, folder / CURVE)
    record = read_record(find_weights(run.checkpoints, checkpoint))
    step = record["step"] if "step" in record else record["progress"]["step"]
    atomic_write_text(folder / "README.md", model_card(run, content, model, step, bool(curve)))


def _tokenizer_config(tokenizer: Tokenizer, context_length: int) -> dict[str, Any]:
    others = [token for token in tokenizer.special_tokens if token != END_OF_TEXT]
    ends = {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
        "additional_special_tokens": others,
        **(ends if tokenizer.end_of_text_id is not None else {}),
    }
