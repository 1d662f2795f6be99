"""Sources of a mixture that are files or name options of ``data``, replaced by their components."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from lmlab.config.group_optimizers import read_option
from lmlab.config.mixture_settings import SOURCES, TARGET
from lmlab.config.shared_parameters import without_shared
from lmlab.errors import ConfigError

_OPTION = "data"
_DEFAULT = "text"


def expand_sources(config: DictConfig) -> None:
    """Replace the sources of a mixture by their components, in place.

    A source is a file (or a pattern, or a list of files), or the settings of an option of ``data``,
    which ``data`` names: ``{data: toystories, seed: 1}``. Without it, the option is ``text``.

    Raises:
        ConfigError: there is no option of a name, or a setting of one is missing.
    """
    data = config.get("data")
    if not isinstance(data, DictConfig) or data.get("_target_") != TARGET:
        return
    sources = data.get("sources")
    if not isinstance(sources, DictConfig):
        return
    OmegaConf.set_struct(config, False)
    for name in map(str, list(sources)):
        node = sources._get_node(name)
        if isinstance(node, DictConfig) and "_target_" in node:
            continue
        if isinstance(node, DictConfig) and not node._is_none():
            option = OmegaConf.select(node, _OPTION, default=_DEFAULT)
            own: dict[Any, Any] = {key: node._get_node(key) for key in node if key != _OPTION}
        elif isinstance(node, ListConfig) or isinstance(sources[name], str):
            option, own = _DEFAULT, {"train": node}
        else:
            continue  # refused with the other mistakes
        try:
            component = OmegaConf.merge(
                without_shared("data", read_option("data", str(option))), own
            )
        except ConfigError as error:
            message = f"{SOURCES}.{name}.{error.message}"
            raise ConfigError(message, error.help) from None
        assert isinstance(component, DictConfig)
        for key in map(str, component):
            if OmegaConf.is_missing(component, key):
                raise ConfigError(
                    f"{SOURCES}.{name}.{key}: missing required setting",
                    f"set {SOURCES}.{name}.{key}",
                )
        sources[name] = component
