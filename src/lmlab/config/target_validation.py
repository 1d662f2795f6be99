"""The gate between YAML and code.

The trunk must have its own keys and no others; every leaf must name a known target and fit its
signature.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from lmlab.config.hydra_errors import no_such_setting
from lmlab.config.paths import user_settings_file
from lmlab.config.run_config import RunConfig, field_types
from lmlab.config.signatures import Signature, names_in, read_signature
from lmlab.config.user_settings import trusted_packages
from lmlab.config.value_types import accepts, as_typed, in_words
from lmlab.errors import ConfigError, did_you_mean

# What the assembly supplies to each leaf, and configuration may therefore not set.
SUPPLIED: dict[str, tuple[str, ...]] = {
    "data": ("cache_dir",),
    "tokenizer": ("train_paths", "cache_dir", "corpus_hash"),
    "model.norm": (),
    "model.pos": ("d_model", "d_head", "context_length"),
    "model.ffn": ("d_model", "d_ff"),
    "model.attention": ("d_model", "num_heads", "pos"),
    "model.init": (),
    "optim": ("params",),
    "schedule": ("step", "total_steps"),
    "logger": ("run_info",),
    "design": (),
    "demo": ("config",),
}
_MAY_BE_ABSENT = ("design", "demo")
_TRUSTED = ("lmlab.", "lmlab_studies.", "torch.optim.")


def check_trunk(config: dict[str, Any], kind: type = RunConfig, prefix: str = "") -> None:
    """Check the keys of a resolved configuration down to its leaves.

    Hydra itself lets ``+key=value`` add to a typed node what its class does not have.

    Raises:
        ConfigError: a key is unknown or missing.
    """
    hints = field_types(kind)
    for name, value in config.items():
        if name not in hints:
            known = [f"{prefix}{own}" for own in hints]
            key = f"{prefix}{name}"
            raise ConfigError(no_such_setting(f"{key}={as_typed(value)}", key, known))
    for name, hint in hints.items():
        if name not in config:
            raise ConfigError(f"{prefix}{name} is missing: no run does without it")
        if dataclasses.is_dataclass(hint):
            check_trunk(config[name], typing.cast(type, hint), f"{prefix}{name}.")


def check_components(config: dict[str, Any]) -> None:
    """Check every leaf of a resolved configuration.

    Raises:
        ConfigError: a leaf has no target, one that is not trusted or does not exist, or knobs that
            do not fit it.
    """
    for path, supplied in SUPPLIED.items():
        node: Any = config
        for part in path.split("."):
            node = node[part]
        if node is None and path in _MAY_BE_ABSENT:
            continue
        check_component(path, node, supplied)


def check_component(path: str, node: Any, supplied: tuple[str, ...]) -> None:
    """Check one leaf. Raises :class:`ConfigError`; see :func:`check_components`."""
    target = node.get("_target_") if isinstance(node, dict) else None
    if not isinstance(target, str):
        raise ConfigError(
            f"{path}={node}: a variant is needed, with a _target_ and its knobs; choose one with "
            f"{path}=<option> (python -m lmlab.train --help lists the options)"
        )
    _check_trust(path, target)
    try:
        signature = read_signature(target)
    except LookupError as error:
        module, _, name = target.rpartition(".")
        near = did_you_mean(name, names_in(module))
        raise ConfigError(f"{path}._target_={target}: {error}{near}") from None
    if signature is not None:
        knobs = {key: value for key, value in node.items() if key != "_target_"}
        _check_knobs(path, target, knobs, signature, supplied)


def _check_trust(path: str, target: str) -> None:
    trusted = (*_TRUSTED, *(f"{package}." for package in trusted_packages()))
    if not target.startswith(trusted):
        raise ConfigError(
            f"{path}._target_={target}: targets may lie under {', '.join(trusted)}; to trust a "
            f"package of yours, add it to trusted_packages in {user_settings_file()}"
        )


def _check_knobs(
    path: str, target: str, knobs: dict[str, Any], signature: Signature, supplied: tuple[str, ...]
) -> None:
    free = {
        name: parameter for name, parameter in signature.parameters.items() if name not in supplied
    }
    listed = ", ".join(free) or "none"
    for key, value in knobs.items():
        if key in supplied:
            raise ConfigError(f"{path}.{key}={value}: it is set by the program; leave it out")
        if key not in free:
            if signature.takes_any:
                continue
            raise ConfigError(
                f"{path}.{key}={value}: {target} has no such knob; it has: {listed}"
                f"{did_you_mean(key, free)}"
            )
        if not accepts(free[key].annotation, value):
            raise ConfigError(
                f"{path}.{key}={as_typed(value)}: accepted is {in_words(free[key].annotation)}"
            )
    missing = [name for name, knob in free.items() if not knob.has_default and name not in knobs]
    if missing:
        raise ConfigError(
            f"{path}: {target} needs {', '.join(missing)}; set {path}.{missing[0]}=..."
        )
