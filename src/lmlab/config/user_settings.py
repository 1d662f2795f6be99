"""The user's own settings, outside any project: which code to trust, where more options lie.

``~/.config/lmlab/config.yaml`` (or below ``XDG_CONFIG_HOME``) may hold

- ``trusted_packages``: names of Python packages that configuration files may take variants from,
- ``search_path``: folders laid out like ``conf/``, whose options are added to lmlab's own.

A project's files cannot add to either: they name code that will run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from lmlab.config.paths import conf_folder, user_settings_file
from lmlab.errors import ConfigError, did_you_mean

_KEYS = ("trusted_packages", "search_path")


def trusted_packages() -> list[str]:
    """The packages that are trusted besides lmlab's own. Raises :class:`ConfigError`."""
    return _strings("trusted_packages", "package names")


def search_path() -> list[Path]:
    """The folders of more options; relative ones start from the settings file's folder.

    Raises:
        ConfigError: a folder is missing, or holds an option that lmlab has under the same name,
            so that one of them would never be seen.
    """
    here = user_settings_file()
    folders = [here.parent / Path(text).expanduser() for text in _strings("search_path", "folders")]
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{here}: search_path: {folder} is no folder")
        for path in folder.rglob("*.yaml"):
            own = conf_folder() / path.relative_to(folder)
            if own.is_file():
                raise ConfigError(f"{path} has the name of an option of lmlab's: rename it")
    return folders


def _strings(key: str, accepted: str) -> list[str]:
    values = _read().get(key, [])
    if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
        raise ConfigError(
            f"{user_settings_file()}: {key}={values}: accepted is a list of {accepted}"
        )
    return values


def _read() -> dict[str, Any]:
    path = user_settings_file()
    if not path.is_file():
        return {}
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} cannot be read: it holds no keys")
    for key in content:
        if key not in _KEYS:
            raise ConfigError(
                f"{path}: {key!s}: accepted are {', '.join(_KEYS)}{did_you_mean(str(key), _KEYS)}"
            )
    return {str(key): value for key, value in content.items()}
