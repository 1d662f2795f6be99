"""Export a run's model to a Hugging Face folder, completely or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import lmlab
from lmlab.errors import DataError
from lmlab.export.card import model_card
from lmlab.export.check import check_export
from lmlab.export.folded_weights import check_foldable, folded_weights
from lmlab.hf import config_writer as hf_config
from lmlab.hf.weight_files import WEIGHTS
from lmlab.hf.weights import write_weights
from lmlab.nn.transformer import Transformer
from lmlab.run_folder import RunFolder
from lmlab.runs.load import Loaded, load
from lmlab.runs.recorded_config import load_recorded
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
from lmlab.tokenizer.convert import write_config
from lmlab.tokenizer.text_markers import pad_token
from lmlab.training.checkpoint_files import find_weights, read_record

CURVE = "learning_curve.png"
_WRITTEN = {
    WEIGHTS, "config.json", "generation_config.json", *hf_config.REMOTE_FILES, serialization.NAME,
    "tokenizer_config.json", CURVE, "README.md",
}  # fmt: skip
_VERSION = "lmlab_version"


def export_run(
    run_folder: Path,
    target: Path,
    *,
    checkpoint: str = "best",
    check: bool = True,
    end_of_text: str | None = None,
) -> list[str]:
    """Export the model of a run.

    Args:
        run_folder: the folder of the run.
        target: the folder to write. An earlier export is replaced if nothing was added to it.
        checkpoint: ``best`` or ``last``.
        check: reload the files before the folder is renamed to ``target``, in lmlab and, if it is
            installed, in transformers, and compare logits and ids.
        end_of_text: the special token that ends a text; None: what the tokenizer says.

    Returns:
        A summary: path, architecture, and checks.

    Raises:
        ConfigError: a component of the model is not one of lmlab's, or a factor of its
            parametrization has no place among the weights.
        DataError: the run has no weights, ``target`` holds other files, or the check failed.
    """
    with translate_read_errors(target):
        obstacle = _obstacle(target)
    if obstacle is not None:
        raise DataError(
            f"to={target}: exists and is not an export ({obstacle})", "choose a new folder"
        )
    config = load_recorded(RunFolder(run_folder))
    node = config.model.as_dict()
    hf_config.config_to_hf(node, d_ff=1)  # fails before anything is loaded
    check_foldable(config.model)
    loaded = load(run_folder, checkpoint=checkpoint, device="cpu")
    loaded.model.documents = None  # no exported class separates them; the card says so
    loaded = loaded._replace(tokenizer=loaded.tokenizer.with_end_of_text(end_of_text))
    content = hf_config.config_to_hf(node, d_ff=_width(loaded.model))
    # In the same folder as the target, so that renaming is atomic.
    path = target.resolve()
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    with translate_write_errors(target):
        temporary.mkdir(parents=True)
    try:
        with translate_write_errors(target):
            _write(temporary, content, loaded, run_folder, checkpoint)
        checks = check_export(temporary, loaded) if check else []
        with translate_write_errors(target):
            shutil.rmtree(path, ignore_errors=True)
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return [f"{target}: {content['architectures'][0]}", *(f"  {line}" for line in checks)]


def _obstacle(target: Path) -> str | None:
    """Say why ``target`` is not an export; None if it is one, is empty, or does not exist."""
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
    # A model saved by transformers keeps our key and adds its own version.
    return (
        isinstance(content, dict) and _VERSION in content and "transformers_version" not in content
    )


def _width(model: Transformer) -> int:
    """Return F, the hidden width that the feed-forward layer has chosen."""
    shapes = (one.shape for name, one in model.named_parameters() if name.endswith(".up.weight"))
    return int(next(shapes)[0])


def _write(
    folder: Path, content: dict[str, Any], loaded: Loaded, run_folder: Path, checkpoint: str
) -> None:
    model, tokenizer = loaded
    kind = content["model_type"]
    heads = content.get("num_attention_heads")
    write_weights(folder, kind, folded_weights(model), heads)
    ids = _text_marker_ids(tokenizer)
    version = {_VERSION: lmlab.__version__}
    write_json(folder / "config.json", content | ids | {"use_cache": True} | version)
    write_json(folder / "generation_config.json", ids)
    if kind == "lmlab":
        for name in hf_config.REMOTE_FILES:
            shutil.copyfile(Path(hf_config.__file__).with_name(name), folder / name)
    write_tokenizer(tokenizer, folder, "hf")
    # GPT-2 of transformers counts positions from the padding on, so padding must be on the right.
    side = "right" if kind == "gpt2" else "left"
    write_config(tokenizer, folder, context_length=model.context_length, padding_side=side)
    run = RunFolder(run_folder)
    curve = (
        draw_learning_curve(run_folder) if not (run.path / CURVE).is_file() else [run.path / CURVE]
    )
    if curve:
        shutil.copyfile(run.path / CURVE, folder / CURVE)
    record = read_record(find_weights(run.checkpoints, checkpoint))
    step = record["step"] if "step" in record else record["progress"]["step"]
    atomic_write_text(folder / "README.md", model_card(run, content, model, step, bool(curve)))


def _text_marker_ids(tokenizer: Tokenizer) -> dict[str, Any]:
    """The ids with which generation starts and ends, and padding; null where there is none."""
    ends = list(tokenizer.markers.ends)
    start = tokenizer.markers.start
    pad = pad_token(tokenizer.ids.special_ids, tokenizer.markers)
    return {
        "bos_token_id": tokenizer.end_of_text_id if start is None else start,
        "eos_token_id": ends if len(ends) > 1 else tokenizer.end_of_text_id,
        "pad_token_id": None if pad is None else tokenizer.ids.special_ids[pad],
    }
