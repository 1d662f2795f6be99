"""Reads configuration files for Hydra, with dotted group choices in experiments understood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.file_config_source import FileConfigSource as HydraSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from lmlab.config.deprecated_keys import rename_key
from lmlab.config.group_selection import extract_choices, rewrite
from lmlab.config.paths import conf_folder
from lmlab.config.user_settings import search_path


class FileConfigSource(HydraSource):
    """Hydra's source of YAML files; experiments and scales may choose from groups in their bodies.

    ``model: {norm: post}`` there becomes ``override /model/norm: post`` in the defaults list, keys
    of ``hydra.sweeper.params`` become Hydra's slashes, and parameters to sweep make the
    experiment a multirun. The file's content goes to the root of the configuration.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        """Load a file; raises Hydra's ConfigLoadError where there is none."""
        result = super().load_config(config_path)
        if config_path.startswith(("experiment/", "scale/")):
            folders = [Path(self.path), conf_folder(), *search_path()]
            body: Any = OmegaConf.to_container(result.config)
            if isinstance(body, dict):
                result.config = OmegaConf.create(_understand(body, folders))
            result.header.setdefault("package", "_global_")
            result.header["package"] = result.header["package"] or "_global_"
        return result


def _understand(body: dict[str, Any], folders: list[Path]) -> dict[str, Any]:
    body = {rename_key(str(key)): value for key, value in body.items()}
    defaults = [_rename(choice) for choice in body.pop("defaults", [])]
    choices = extract_choices(body, folders)
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


def _rename(choice: Any) -> Any:
    """An entry of a defaults list, with the current name of its group."""
    if isinstance(choice, dict):
        return {rename_key(str(group)): option for group, option in choice.items()}
    return rename_key(choice) if isinstance(choice, str) else choice


def register() -> None:
    """Put this source in the place of Hydra's own, which Hydra registers first."""
    Plugins.instance()
    SourcesRegistry.instance().types["file"] = FileConfigSource
