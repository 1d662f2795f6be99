"""The configuration of a run as a frozen tree of dataclasses: resolved once, then only read.

This file is the schema. Composition (:mod:`lmlab.config.compose`) checks and fills it; Hydra's own
copy, whose fields may still be missing, is derived from it in :mod:`lmlab.config.schema`.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
# Of a field that composition may leave null, and freezing fills in.
NULL_UNTIL_FROZEN = {"null_until_frozen": True}


class Component:
    """A leaf of the configuration: the class or function that ``_target_`` names, and parameters.

    Parameters read as attributes (``config.optim.lr``); ``name in component`` tells whether one is
    set. Values are plain and must not be changed.
    """

    __slots__ = ("_content",)

    def __init__(self, content: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_content", copy.deepcopy(dict(content)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_content":
            raise AttributeError(name)
        try:
            return self._content[name]
        except KeyError:
            raise AttributeError(f"{self._content.get('_target_')} has no {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to {name!r}")

    def __contains__(self, name: str) -> bool:
        return name in self._content

    def __eq__(self, other: object) -> bool:
        return self._content == (other._content if isinstance(other, Component) else other)

    def __hash__(self) -> int:
        return hash(repr(self._content))

    def __repr__(self) -> str:
        return f"Component({self._content})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Component, (self._content,)

    def __deepcopy__(self, memo: dict[int, Any]) -> Component:
        return self

    @property
    def target(self) -> str:
        """Dotted path of the class or function."""
        return str(self._content["_target_"])

    @property
    def parameters(self) -> dict[str, Any]:
        """The values it is called with, by name: a copy."""
        return {k: copy.deepcopy(v) for k, v in self._content.items() if k != "_target_"}

    def as_dict(self) -> dict[str, Any]:
        """The leaf as plain values, ``_target_`` included: a copy."""
        return copy.deepcopy(self._content)


@dataclasses.dataclass(frozen=True)
class Seeds:
    """One seed for each source of randomness."""

    init: int
    data: int
    sampling: int


@dataclasses.dataclass(frozen=True)
class Model:
    """Sizes of the Transformer, and its parts. ``d_ff`` is a width or ``auto``."""

    vocab_size: int
    context_length: int
    d_model: int
    num_layers: int
    num_heads: int
    d_ff: Any
    tie_embeddings: bool
    norm: Component
    pos: Component
    ffn: Component
    attention: Component
    init: Component

    def as_dict(self) -> dict[str, Any]:
        """The node as plain values: a copy."""
        return _plain(self)


@dataclasses.dataclass(frozen=True)
class Training:
    """The loop; see :class:`lmlab.training.trainer.LoopSettings`."""

    steps: int
    batch_size: int
    micro_batch_size: int | None
    grad_clip_norm: float | None
    log_every: int
    divergence_margin: float


@dataclasses.dataclass(frozen=True)
class ValidationSettings:
    """When and on how many tokens the model is evaluated."""

    every_steps: int
    batch_size: int
    max_tokens: int | None


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """When the state is saved, and how much of it is kept."""

    every_steps: int
    keep_last: int
    keep_steps: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Samples:
    """The texts that a finished run generates."""

    prompts: tuple[str, ...]
    count: int
    max_new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float | None


@dataclasses.dataclass(frozen=True)
class Runtime:
    """Device and precision (:mod:`lmlab.runtime.device`), and what preflight does.

    Fields with a default did not always exist; configurations written before them stay readable.
    """

    device: str
    policy: str
    compile: Any
    threads: Any
    preflight: str = "refuse"
    beside: int = 0
    parallel: str = "auto"
    cuda_graph: Any = "auto"


@dataclasses.dataclass(frozen=True)
class Scale:
    """How large a study is: the numbers of runs that its design takes from here."""

    name: str
    num_seeds: int
    num_tuning_seeds: int
    extra_seeds: int
    margin: float
    expected_sd: float


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """A whole run."""

    study: str
    arm: str = dataclasses.field(metadata=NULL_UNTIL_FROZEN)
    seed: int
    seeds: Seeds
    output_root: str
    parent: str | None
    data: Component
    tokenizer: Component
    model: Model
    optim: Component
    schedule: Component
    training: Training
    validation: ValidationSettings
    checkpoint: Checkpoint
    samples: Samples
    runtime: Runtime
    logger: Component
    reuse: bool
    scale: Scale
    design: Component | None
    demo: Component | None

    @property
    def cache_folder(self) -> Path:
        """Where corpora, tokenizers and token files are kept for all runs."""
        return Path(self.output_root) / "cache"

    @property
    def named_folder(self) -> Path:
        """The folder that the run's names give it; another configuration may occupy it."""
        return Path(self.output_root) / self.study / self.arm / f"seed{self.seed}"

    def as_dict(self) -> dict[str, Any]:
        """The configuration as nested plain dictionaries and lists: a copy."""
        return _plain(self)


def _plain(value: Any) -> Any:
    if isinstance(value, Component):
        return value.as_dict()
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return list(value)
    return copy.deepcopy(value)


@functools.cache
def field_types(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields, by name."""
    return typing.get_type_hints(kind)


def build_tree(kind: type[T], content: Mapping[str, Any]) -> T:
    """Make the dataclass ``kind`` from nested plain values that were checked before."""
    hints = field_types(typing.cast(type, kind))
    return kind(**{name: _node(hints[name], value) for name, value in content.items()})


def _node(hint: Any, value: Any) -> Any:
    if isinstance(hint, types.UnionType) and Component in typing.get_args(hint):
        hint = Component
    if value is None:
        return None
    if hint is Component:
        return Component(value)
    if dataclasses.is_dataclass(hint):
        return build_tree(typing.cast(type, hint), value)
    if typing.get_origin(hint) is tuple:
        return tuple(value)
    return copy.deepcopy(value)
