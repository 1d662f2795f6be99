"""The OmegaConf resolvers of ``conf/``: values from files, environment variables, and Hydra."""

from __future__ import annotations

from os.path import expanduser
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from lmlab.config.tracker_variables import tracker_variable
from lmlab.errors import ConfigError
from lmlab.hf.config_reader import config_from_hf, read_config
from lmlab.hf.weight_files import hash_weights
from lmlab.storage.fields import (
    COUNT,
    COUNTS_BY_NAME,
    OBJECT,
    OBJECTS,
    or_null,
    wrong_field,
)
from lmlab.storage.json_text import parse_json

_SAVED_TOKENIZER = {
    "vocab_size": COUNT, "model": OBJECT, "model.vocab": COUNTS_BY_NAME,
    "added_tokens": or_null(OBJECTS), "added_tokens[].id": COUNT,
}  # fmt: skip
_DIRNAME = "job.override_dirname"


def register() -> None:
    """Make the resolvers known; harmless when repeated."""
    OmegaConf.register_new_resolver("saved_vocab_size", _saved_vocab_size, replace=True)
    OmegaConf.register_new_resolver("imported", _imported, replace=True)
    OmegaConf.register_new_resolver("tracker_variable", tracker_variable, replace=True)


def register_hydra() -> None:
    """Make ``${hydra:...}`` refuse what is not known, after Hydra has registered its resolvers."""
    OmegaConf.register_new_resolver("hydra", _hydra, replace=True)


def _hydra(path: str) -> Any:
    """A setting of Hydra. Hydra's own resolver returns null for one that is missing."""
    hydra = cast(DictConfig, HydraConfig.get())
    value = _override_dirname(hydra) if path == _DIRNAME else OmegaConf.select(hydra, path)
    if value is None and path not in ("mode", "output_subdir"):
        note = {
            "job.num": "it is the position of a job in a multirun: add -m",
            "runtime.output_dir": "a run is saved in output_root/study/arm/seed<k>",
        }
        raise ConfigError(f"${{hydra:{path}}}: not known here", note.get(path, "choose another"))
    return value


def _override_dirname(hydra: DictConfig) -> str:
    """The overrides in one line, without those that contain this line."""
    names = hydra.job.config.override_dirname
    given = cast(list[str], OmegaConf.to_container(hydra.overrides.task))
    lines = [
        text
        for text in given
        if text.lstrip("+~").partition("=")[0] not in names.exclude_keys
        and f"hydra:{_DIRNAME}" not in text
    ]
    return str(names.item_sep.join(sorted(lines)).replace("=", names.kv_sep))


def _saved_vocab_size(folder: str) -> int:
    path = Path(expanduser(folder)) / "tokenizer.json"
    try:
        saved = parse_json(path.read_text("utf-8"))
        if wrong := wrong_field(saved, _SAVED_TOKENIZER):
            raise ValueError(wrong)
        if "model" in saved:  # Hugging Face's format
            added = (token["id"] for token in saved.get("added_tokens") or ())
            return len({*saved["model"]["vocab"].values(), *added})
        return int(saved["vocab_size"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ConfigError(
            f"tokenizer.path={folder}: cannot read {path} as a saved tokenizer: {error}",
            "set tokenizer.path to a folder that contains a tokenizer.json",
        ) from error


def _imported(folder: str, key: str) -> Any:
    """A setting of the model in a Hugging Face folder, or the ``sha256`` of its weights."""
    path = Path(expanduser(folder))
    return hash_weights(path) if key == "sha256" else config_from_hf(read_config(path))[key]
