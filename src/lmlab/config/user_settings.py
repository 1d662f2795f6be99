"""The user's own settings: packages to trust, and folders with more options.

``~/.config/lmlab/config.yaml`` (or below ``XDG_CONFIG_HOME``) may contain

- ``trusted_packages``: names of Python packages whose classes configurations may name,
- ``search_path``: folders with the layout of ``conf/``, whose options are added to lmlab's.

The files of a project cannot add to either, since both decide which code runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmlab.config.paths import conf_folder, user_settings_file
from lmlab.config.yaml_files import read_settings
from lmlab.errors import ConfigError, suggestion

_KEYS = ("trusted_packages", "search_path")


def trusted_packages() -> list[str]:
    """Return the packages to trust in addition to lmlab's. Raises :class:`ConfigError`."""
    return _strings("trusted_packages", "package names")


def search_path() -> list[Path]:
    """Return the folders with more options, relative to the folder of the settings file.

    Raises:
        ConfigError: a folder does not exist, or contains an option that lmlab has under the same
            name, so that one of them would never be found.
    """
    file = user_settings_file()
    folders = [file.parent / Path(text).expanduser() for text in _strings("search_path", "folders")]
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{file}: search_path: no such folder: {folder}")
        for path in folder.rglob("*.yaml"):
            if (conf_folder() / path.relative_to(folder)).is_file():
                raise ConfigError(
                    f"{path}: lmlab already has an option of this name", "rename the file"
                )
    return folders


def _strings(key: str, items: str) -> list[str]:
    values = _read().get(key, [])
    if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
        raise ConfigError(f"{user_settings_file()}: {key}={values}: expected a list of {items}")
    return values


def _read() -> dict[str, Any]:
    path = user_settings_file()
    if not path.is_file():
        return {}
    try:
        content = read_settings(path)
    except ValueError as error:
        raise ConfigError(f"{path}: cannot read the settings: {error}") from error
    for key in content:
        if key not in _KEYS:
            raise ConfigError(
                f"{path}: {key}: expected one of {', '.join(_KEYS)}", suggestion(key, _KEYS)
            )
    return content
