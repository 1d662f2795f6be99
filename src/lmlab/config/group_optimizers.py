"""Optimizers that entries of ``optim.groups`` name: options, replaced by their components."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from lmlab.config.optimizer_groups import GROUPS, KEYS
from lmlab.config.paths import conf_folder
from lmlab.config.unknown_settings import unknown_option
from lmlab.config.user_settings import search_path


def expand_options(config: DictConfig) -> None:
    """Replace the names of options in ``optim.groups`` by their components, in place.

    Other settings of such an entry replace those of the option.

    Raises:
        ConfigError: there is no option of a name.
    """
    optim = config.get("optim")
    groups = optim.get(GROUPS) if isinstance(optim, DictConfig) else None
    if not isinstance(groups, ListConfig):
        return
    for index, entry in enumerate(groups):
        name = OmegaConf.select(entry, "optimizer") if isinstance(entry, DictConfig) else None
        if not isinstance(name, str):
            continue
        own = {key: entry._get_node(key) for key in entry if key not in KEYS}
        component = OmegaConf.merge(read_option("optim", name), own)
        kept = {key: entry._get_node(key) for key in entry if key in KEYS and key != "optimizer"}
        OmegaConf.set_struct(config, False)
        groups[index] = kept | {"optimizer": component}


def read_option(group: str, name: str) -> DictConfig:
    """Return the content of an option of a group. Raises :class:`ConfigError` without one."""
    folders = [Path(folder) / group for folder in (conf_folder(), *search_path())]
    file = next((one for one in (f / f"{name}.yaml" for f in folders) if one.is_file()), None)
    if file is None:
        options = sorted(path.stem for folder in folders for path in folder.glob("*.yaml"))
        raise unknown_option(group, name, options)
    content = OmegaConf.load(file)
    assert isinstance(content, DictConfig)
    return content
