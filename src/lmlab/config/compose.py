"""From overrides to a frozen configuration: composed, resolved, typed and gated."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from os.path import expanduser
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from lmlab.config import config_source, schema
from lmlab.config.deprecated_keys import upgrade
from lmlab.config.group_selection import rewrite_all
from lmlab.config.hydra_errors import translate_hydra_errors
from lmlab.config.identity_settings import arm_name, select_identity_settings
from lmlab.config.paths import conf_folder
from lmlab.config.rules import check_rules
from lmlab.config.run_config import RunConfig, build_tree
from lmlab.config.target_validation import check_components, check_trunk
from lmlab.config.user_settings import search_path
from lmlab.errors import ConfigError, DataError
from lmlab.hf.config_reader import config_from_hf, read_config
from lmlab.hf.weight_files import hash_weights

# Settings that name files or folders.
_PATHS = (
    "output_root", "parent", "data.train", "data.valid", "tokenizer.path", "model.init.path",
)  # fmt: skip


def register() -> None:
    """Make lmlab's schema, config source and resolvers known to Hydra; harmless when repeated."""
    schema.register()
    config_source.register()
    OmegaConf.register_new_resolver("saved_vocab_size", _saved_vocab_size, replace=True)
    OmegaConf.register_new_resolver("imported", _imported, replace=True)


def compose(overrides: Sequence[str] = (), config_name: str = "train") -> RunConfig:
    """Compose a configuration as ``python -m lmlab.train`` would, for notebooks and tests.

    Args:
        overrides: as on the command line, in dotted or slash form: ``["model.norm=post"]``.
        config_name: the root file.

    Returns:
        The frozen configuration; see :func:`freeze`.

    Raises:
        ConfigError: a key, option or value is wrong; the message names it and the fix.
    """
    register()
    folder = conf_folder()
    rewritten = rewrite_all(overrides, [folder, *search_path()])
    with translate_hydra_errors(rewritten, folder):
        if GlobalHydra.instance().is_initialized():  # called from inside a Hydra program
            config = hydra_compose(config_name, rewritten)
        else:
            with initialize_config_dir(str(folder), version_base="1.3"):
                config = hydra_compose(config_name, rewritten)
    return freeze(config, rewritten)


def freeze(config: DictConfig, overrides: Sequence[str], swept: Collection[str] = ()) -> RunConfig:
    """Resolve, check and lock a composed configuration.

    Args:
        config: without the ``hydra`` node.
        overrides: what ``arm`` is made from where it is null.
        swept: keys that differ between the jobs of a multirun, named first in ``arm``.

    Raises:
        ConfigError: see :func:`compose`.
    """
    with translate_hydra_errors(overrides, conf_folder()):
        resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    content: dict[str, Any] = {str(key): value for key, value in resolved.items()}
    _expand_home(content)
    if content["arm"] is None:
        content["arm"] = arm_name(overrides, swept)
    return from_dict(content)


def load_frozen(path: Path) -> RunConfig:
    """Read a configuration written by :func:`to_yaml`, and check it again.

    Raises:
        DataError: the file is missing or no configuration.
        ConfigError: a setting does not fit this version of the code.
    """
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise DataError(f"{path} cannot be read as a configuration: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} cannot be read as a configuration: it holds no keys")
    named = {str(key): value for key, value in content.items()}
    register()  # what tells of an unknown key composes the known ones
    with translate_hydra_errors([], conf_folder()):
        typed = OmegaConf.merge(OmegaConf.structured(schema.hydra_schema()), upgrade(named))
        whole = OmegaConf.to_container(typed, throw_on_missing=True)
    assert isinstance(whole, dict)
    return from_dict({str(key): value for key, value in whole.items()})


def _expand_home(content: dict[str, Any]) -> None:
    """Put the home folder in the place of ``~``, which a shell leaves alone behind ``a.key=``."""
    for key in _PATHS:
        *parents, name = key.split(".")
        node: Any = content
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        value = node.get(name) if isinstance(node, dict) else None
        if isinstance(value, str):
            node[name] = expanduser(value)
        elif isinstance(value, list):
            node[name] = [expanduser(item) if isinstance(item, str) else item for item in value]


def from_dict(content: dict[str, Any]) -> RunConfig:
    """Check plain values, as :meth:`RunConfig.as_dict` gives them, and freeze them.

    Raises:
        ConfigError: a value is not allowed.
    """
    check_trunk(content)
    check_components(content)
    check_rules(content)
    return build_tree(RunConfig, content)


def with_values(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """Return ``config`` with other values at some dotted keys.

    Args:
        config: stays as it is.
        changes: values by dotted key: ``{"training.batch_size": 8}``.

    Raises:
        ConfigError: a new value is not allowed.
    """
    content = config.as_dict()
    for key, value in changes.items():
        *parents, name = key.split(".")
        node = content
        for parent in parents:
            node = node[parent]
        node[name] = value
    return from_dict(content)


def to_yaml(config: RunConfig) -> str:
    """A frozen configuration as YAML."""
    return OmegaConf.to_yaml(OmegaConf.create(config.as_dict()))


def identity_settings(config: RunConfig) -> dict[str, Any]:
    """What changes the result of a run; see :mod:`lmlab.config.identity_settings`."""
    return select_identity_settings(config.as_dict())


def _saved_vocab_size(folder: str) -> int:
    path = Path(expanduser(folder)) / "tokenizer.json"
    try:
        saved = json.loads(path.read_text("utf-8"))
        if "model" in saved:  # Hugging Face's form
            added = (token["id"] for token in saved.get("added_tokens") or ())
            return len({*saved["model"]["vocab"].values(), *added})
        return int(saved["vocab_size"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"tokenizer.path={folder}: {path} cannot be read as a saved tokenizer: {error}"
        ) from error


def _imported(folder: str, key: str) -> Any:
    """A setting of the model in a Hugging Face folder, or the ``sha256`` of its weights."""
    path = Path(expanduser(folder))
    return hash_weights(path) if key == "sha256" else config_from_hf(read_config(path))[key]
