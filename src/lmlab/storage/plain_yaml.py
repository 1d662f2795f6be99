"""Plain values from YAML files, also those of other programs; starts quickly, without OmegaConf."""

from __future__ import annotations

from typing import Any

import yaml
from yaml import YAMLError

from lmlab.storage.json_text import refuse_half_characters

_FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster
# More levels than these overflow the stack of libyaml's loader, which ends the process.
_MOST_OPENINGS, _MOST_BYTES = 2000, 1_000_000
_OPENINGS = (b"[", b"{", b"- ", b"? ")


def load_plain(content: bytes) -> Any:
    """Return the values in a YAML file that another program may have written.

    Raises:
        ValueError: it is not YAML, or nested too deeply.
    """
    openings = sum(map(content.count, _OPENINGS))
    is_flat = openings < _MOST_OPENINGS and len(content) < _MOST_BYTES
    try:
        found = yaml.load(content, _FAST if is_flat else yaml.SafeLoader)
        refuse_half_characters(found)
        return found
    except YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
