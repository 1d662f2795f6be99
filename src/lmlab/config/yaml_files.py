"""Read settings from YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from lmlab.storage.json_text import refuse_half_characters


def read_settings(path: Path) -> dict[str, Any]:
    """Read the keys and values of a file; interpolations stay as written.

    Raises:
        ValueError: the file cannot be read, or is not a mapping; the message says why.
    """
    try:
        loaded = OmegaConf.load(path)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(loaded, DictConfig):
        raise ValueError("expected keys with values")
    content = OmegaConf.to_container(loaded, resolve=False)
    assert isinstance(content, dict)
    refuse_half_characters(content)
    return {str(key): value for key, value in content.items()}
