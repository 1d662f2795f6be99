"""Read configuration files for Hydra, with dotted group choices in experiments."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.file_config_source import FileConfigSource as HydraSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from lmlab.config.deprecated_keys import RENAMED_KEYS, rename_key
from lmlab.config.group_selection import extract_choices, rewrite
from lmlab.config.paths import conf_folder
from lmlab.config.run_length import complete_lengths
from lmlab.config.schedule_settings import check_rivals
from lmlab.config.several_options import joined_defaults, joined_option, parts_of
from lmlab.config.user_settings import search_path
from lmlab.errors import ConfigError


class FileConfigSource(HydraSource):
    """Hydra's source of YAML files, where the bodies of experiments and scales may select options.

    In these files, ``model: {norm: post}`` becomes ``override /model/norm: post`` in the defaults
    list, and keys of ``hydra.sweeper.params`` get Hydra's slashes. Parameters to sweep, or a
    design, make the experiment a multirun. The content goes to the root of the configuration.

    A model of your own that selects its parts, but no parametrization, gets ``param: standard``, so
    that ``model.param=mup`` can replace it.

    Several options of a group are one option here; see :mod:`lmlab.config.several_options`.

    A folder with the old name of a group (:data:`lmlab.config.deprecated_keys.RENAMED_KEYS`) holds
    options of the group.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        """Load a file. Raises Hydra's ConfigLoadError where it does not exist."""
        if parts := parts_of(config_path):
            content = OmegaConf.create(joined_defaults(parts))
            return ConfigResult(self.provider, f"file://{self.path}", content, {"package": None})
        result = self._read(self._on_disk(config_path))
        if config_path.startswith(("experiment/", "scale/")):
            folders = [Path(self.path), conf_folder(), *search_path()]
            body: Any = OmegaConf.to_container(result.config)
            if isinstance(body, dict):
                result.config = OmegaConf.create(_translate_body(body, folders))
            result.header.setdefault("package", "_global_")
            result.header["package"] = result.header["package"] or "_global_"
        elif config_path.startswith("model/") and config_path.count("/") == 1:
            result.config = OmegaConf.create(_with_param(OmegaConf.to_container(result.config)))
        return result

    def is_group(self, config_path: str) -> bool:
        """Whether the path is a folder."""
        return bool(super().is_group(self._on_disk(config_path)))

    def is_config(self, config_path: str) -> bool:
        """Whether the path is a file, or stands for several."""
        if parts_of(config_path):
            return self.is_group(config_path.rpartition("/")[0])
        return bool(super().is_config(self._on_disk(config_path)))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """List the groups or files in a folder."""
        found: list[str] = super().list(self._on_disk(config_path), results_filter)
        return found

    def _read(self, config_path: str) -> ConfigResult:
        try:
            found = Path(self.path, self._normalize_file_name(config_path)).stat()
        except OSError:
            return super().load_config(config_path)  # Hydra's error
        state = found.st_ino, found.st_mtime_ns, found.st_size
        return copy.deepcopy(_parsed(self.provider, self.path, config_path, state))

    def _on_disk(self, config_path: str) -> str:
        """Return the path with the old name of its group where only that one is a folder here."""
        group, slash, rest = config_path.partition("/")
        old = next((old for old, new in RENAMED_KEYS.items() if new == group), None)
        folder = Path(self.path)
        if old is None or (folder / group).is_dir() or not (folder / old).is_dir():
            return config_path
        return f"{old}{slash}{rest}"


@functools.lru_cache(maxsize=512)
def _parsed(provider: str, path: str, config_path: str, state: tuple[int, int, int]) -> Any:
    """Read a file once for all configurations that a process composes: parsing YAML is slow.

    Args:
        provider: name of the source.
        path: folder of the source.
        config_path: of the file in it.
        state: inode, time and size, so that a file that has changed is read again.

    Returns:
        The content, to be copied before it is changed.
    """
    return HydraSource(provider, path).load_config(config_path)


def _translate_body(body: dict[str, Any], folders: list[Path]) -> dict[str, Any]:
    body = {rename_key(str(key)): value for key, value in body.items()}
    defaults = [_rename(choice) for choice in body.pop("defaults", [])]
    choices = extract_choices(body, folders)
    body = nest_dotted_keys(body)
    check_rivals(body.get("schedule"))
    complete_lengths(body.get("training"))
    defaults += [{f"override /{group}": option} for group, option in choices.items()]
    if "_self_" not in defaults:
        defaults.append("_self_")
    sweeper = body.get("hydra", {}).get("sweeper", {})
    params = sweeper.get("params")
    if params:
        pairs = [rewrite(f"{key}={value}", folders) for key, value in params.items()]
        sweeper["params"] = dict(pair.split("=", 1) for pair in pairs)
        body["hydra"].setdefault("mode", "MULTIRUN")
    if body.get("design") or any("design" in str(choice) for choice in defaults):
        body.setdefault("hydra", {}).setdefault("mode", "MULTIRUN")
    return {"defaults": defaults, **body}


def _with_param(body: Any) -> Any:
    """Add the group ``param``, which earlier versions did not have, to the defaults of a model."""
    defaults = body.get("defaults") if isinstance(body, dict) else None
    groups = {str(key) for one in defaults or () if isinstance(one, dict) for key in one}
    if "init" not in groups or "param" in groups:  # it takes its parts from another option
        return body
    return body | {"defaults": [{"param": "standard"}, *(defaults or ())]}


def nest_dotted_keys(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body with ``training.steps: 5`` as ``training: {steps: 5}``.

    Raises:
        ConfigError: a key is set twice, flat and nested.
    """
    nested: dict[str, Any] = {}
    for key, value in body.items():
        names = key.split(".")
        for name in reversed(names[1:]):
            value = {name: value}
        _merge_into(nested, {names[0]: value}, "")
    return nested


def _merge_into(nested: dict[str, Any], added: dict[str, Any], prefix: str) -> None:
    for name, value in added.items():
        present = nested.get(name)
        if isinstance(present, dict) and isinstance(value, dict):
            _merge_into(present, value, f"{prefix}{name}.")
        elif name in nested:
            raise ConfigError(f"{prefix}{name}: set twice in one file", "remove one of the two")
        else:
            nested[name] = value


def _rename(choice: Any) -> Any:
    """Return an entry of a defaults list with the current name of its group and one option."""
    if isinstance(choice, dict):
        renamed = {rename_key(str(group)): option for group, option in choice.items()}
        return {key: joined_option(_group_of(key), option) for key, option in renamed.items()}
    return rename_key(choice) if isinstance(choice, str) else choice


def _group_of(key: str) -> str:
    return key.removeprefix("override ").strip().lstrip("/")


def register() -> None:
    """Replace Hydra's own source of files, which Hydra registers first."""
    Plugins.instance()
    SourcesRegistry.instance().types["file"] = FileConfigSource
