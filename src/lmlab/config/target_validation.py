"""Check a resolved configuration against the code that it names, without importing that code.

The trunk must have exactly the keys of :class:`RunConfig`. Each component must name a trusted
target that exists, and set parameters that are valid for its signature.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import typing
from collections.abc import Iterable, Iterator
from typing import Any

from lmlab.config.keyword_forwarding import names_of_kwargs, with_names
from lmlab.config.mixture_settings import check_mixture, mixture_sources, without_sources
from lmlab.config.optimizer_groups import (
    GROUPS,
    KEYS,
    check_entries,
    group_entries,
    own_optimizers,
    without_groups,
)
from lmlab.config.run_config import RunConfig, field_types
from lmlab.config.several_options import components_of
from lmlab.config.shared_parameters import SHARED
from lmlab.config.signatures import Signature, read_signature
from lmlab.config.slot_targets import check_nested, check_slot, no_such_target
from lmlab.config.unknown_settings import unknown_parameter, unknown_setting
from lmlab.config.value_types import accepts, describe_annotation, format_value
from lmlab.errors import ConfigError

log = logging.getLogger(__name__)

# The parameters of each component that the program computes; configurations may not set them.
SUPPLIED: dict[str, tuple[str, ...]] = {
    "data": ("cache_dir",),
    "tokenizer": ("text", "cache_dir", "corpus_hash"),
    "model.norm": (),
    "model.pos": ("d_model", "d_head", "context_length"),
    "model.ffn": ("d_model", "d_ff"),
    "model.attention": ("d_model", "num_heads", "pos"),
    "model.embedding": ("vocab_size", "d_model"),
    "model.block": ("attention", "ffn", "norm", "d_model", "dropout", "residual_factor"),
    "model.residual": ("d_model", "num_layers"),
    "model.head": ("d_model", "vocab_size"),
    "model.init": (),
    "model.param": (),
    "optim": ("params",),
    "schedule": ("step", "total_steps"),
    "logger": ("run_info",),
    "design": ("generator", "rungs", "sealed", "earlier_looks", "earlier_arms", "dropped_arms"),
    "ladder": (),
    "demo": ("config",),
}
# The parameters that the program computes for targets that have them.
OFFERED: dict[str, tuple[str, ...]] = {
    "model.attention": ("layer", "num_layers", "context_length"),
    "model.ffn": ("layer", "num_layers"),
    "model.block": ("layer", "num_layers"),
    "model.embedding": ("num_layers",),
    "schedule": ("tokens_per_step",),
}
_CALLBACK_SUPPLIED = ("model", "step", "tokenizer")
_OPTIONAL = ("design", "ladder", "demo")


def check_trunk(config: dict[str, Any], kind: type = RunConfig, prefix: str = "") -> None:
    """Check the keys of a resolved configuration down to its components.

    Hydra lets ``+key=value`` add keys to a typed node that its class does not have.

    Raises:
        ConfigError: a key is unknown or missing.
    """
    hints = field_types(kind)
    for name, value in config.items():
        if name not in hints:
            known = [f"{prefix}{valid}" for valid in hints]
            key = f"{prefix}{name}"
            raise unknown_setting(f"{key}={format_value(value)}", key, known)
    for name, hint in hints.items():
        if name not in config:
            key = f"{prefix}{name}"
            raise ConfigError(f"{key}: missing required setting", f"set {key}")
        if dataclasses.is_dataclass(hint):
            check_trunk(config[name], typing.cast(type, hint), f"{prefix}{name}.")


def check_components(config: dict[str, Any]) -> None:
    """Check every component of a resolved configuration.

    All targets are checked before the first is imported, if one must be.

    Raises:
        ConfigError: a component has no target, a target that is not meant for its slot or does not
            exist, or parameters that are not valid for its target.
    """
    components: dict[str, tuple[Any, tuple[str, ...]]] = {}
    for path, supplied in SUPPLIED.items():
        node: Any = config
        for part in path.split("."):
            node = node[part]
        if path == "optim":
            check_entries(node)
            components |= {key: (one, supplied) for key, one in own_optimizers(node)}
            node = without_groups(node)
        if path == "data":
            check_mixture(node)
            components |= {key: (one, supplied) for key, one in mixture_sources(node)}
            node = without_sources(node)
        if node is not None or path not in _OPTIONAL:
            for key, one in components_of(path, node).items():
                components[key] = one, supplied
    callbacks = {f"callbacks.{name}": node for name, node in config["callbacks"].items()}
    for path, (node, supplied) in components.items():
        _check_targets(path, node, supplied, may_import=False)
    for path, node in callbacks.items():
        _check_targets(path, node, _CALLBACK_SUPPLIED, may_import=False)
    for path, (node, supplied) in components.items():
        check_component(path, node, supplied, config)
    _check_group_settings(config["optim"])
    for path, node in callbacks.items():
        _check_callback(path, node, config)


def _check_targets(
    path: str, node: Any, supplied: tuple[str, ...], may_import: bool = True
) -> None:
    """Check what a component may call; other mistakes are reported later."""
    if isinstance(node, dict) and isinstance(node.get("_target_"), str):
        check_slot(path, node["_target_"], supplied, may_import)
        check_nested(
            path, {key: value for key, value in node.items() if key != "_target_"}, may_import
        )


def _check_group_settings(optim: dict[str, Any]) -> None:
    """Check the settings of optim that differ for some parameters, as those of optim itself."""
    plain = without_groups(optim)
    for index, entry in enumerate(group_entries(optim)):
        settings = {key: value for key, value in entry.items() if key not in KEYS}
        if entry.get("optimizer") is None and settings:
            path, target = f"optim.{GROUPS}[{index}]", optim["_target_"]
            check_component(path, plain | settings, SUPPLIED["optim"])
            if unknown := [key for key in settings if key not in plain]:
                known = [key for key in plain if key != "_target_"]
                raise unknown_parameter(
                    f"{path}.{unknown[0]}={format_value(settings[unknown[0]])}", path, unknown[0],
                    target, known, [],
                )  # fmt: skip


def _check_callback(path: str, node: Any, config: dict[str, Any]) -> None:
    """Check the function of a callback, and its interval, which the function does not receive."""
    if not isinstance(node, dict):
        raise ConfigError(
            f"{path}={node}: expected _target_ and every_steps",
            f"set {path}._target_=package.function and {path}.every_steps=100",
        )
    content = dict(node)
    every_steps = content.pop("every_steps", None)
    check_component(path, content, _CALLBACK_SUPPLIED, config)
    if type(every_steps) is not int or every_steps < 1:
        raise ConfigError(
            f"{path}.every_steps={format_value(every_steps)}: expected 1 or more steps between "
            "two calls",
            f"set {path}.every_steps=100",
        )


def check_component(
    path: str, node: Any, supplied: tuple[str, ...], config: dict[str, Any] | None = None
) -> None:
    """Check one component.

    Args:
        path: its dotted key.
        node: its content.
        supplied: the parameters that the program computes.
        config: the configuration that contains it, whose other settings a message may suggest.

    Raises:
        ConfigError: see :func:`check_components`.
    """
    target = node.get("_target_") if isinstance(node, dict) else None
    if not isinstance(target, str):
        raise ConfigError(
            f"{path}={node}: expected a component with a _target_",
            f"set {path}=<option>; run python -m lmlab.train --help to list the options",
        )
    _check_targets(path, node, supplied)
    try:
        signature = read_signature(target)
    except LookupError as error:
        raise no_such_target(path, target, error) from None
    if signature is not None:
        if signature.takes_any:
            signature = with_names(signature, names_of_kwargs(target))
        parameters = {key: value for key, value in node.items() if key != "_target_"}
        _check_parameters(path, target, parameters, signature, supplied, config or {})


def _check_parameters(
    path: str,
    target: str,
    parameters: dict[str, Any],
    signature: Signature,
    supplied: tuple[str, ...],
    config: dict[str, Any],
) -> None:
    supplied = (*supplied, *OFFERED.get(path, ()))
    settable = {
        name: parameter for name, parameter in signature.parameters.items() if name not in supplied
    } | SHARED.get(path, {})
    for key, value in parameters.items():
        given = f"{path}.{key}={format_value(value)}"
        if key in supplied:
            raise ConfigError(
                f"{given}: this parameter is computed automatically", f"remove {path}.{key}"
            )
        if key not in settable:
            if signature.takes_any and not _is_misspelt(key, settable):
                warn_unchecked(f"{path}.{key}", target)
                continue
            others = [k for k in _dotted_keys(config) if not k.startswith(f"{path}.")]
            raise unknown_parameter(given, path, key, target, list(settable), others)
        annotation = settable[key].annotation
        if not accepts(annotation, value):
            raise ConfigError(f"{given}: expected {describe_annotation(annotation)}")
    required = (name for name, parameter in settable.items() if not parameter.has_default)
    missing = [name for name in required if name not in parameters]
    if missing:
        raise ConfigError(
            f"{path}: {target} requires {', '.join(missing)}", f"set {path}.{missing[0]}=..."
        )


def _is_misspelt(key: str, valid: Iterable[str]) -> bool:
    """Whether a name that may be valid is so similar to one that is that it was meant."""
    import difflib  # only components with **kwargs need it

    return bool(difflib.get_close_matches(key, list(valid), n=1, cutoff=0.8))


@functools.cache
def warn_unchecked(key: str, target: str) -> None:
    """Log once that nothing shows whether a target has a parameter."""
    log.warning("%s: %s takes any parameter, so that this name is not checked", key, target)


def _dotted_keys(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _dotted_keys(value, f"{prefix}{key}.")
