"""The configuration of a run: a frozen tree of dataclasses, resolved once and then only read.

These classes are the schema. :mod:`lmlab.config.compose` fills and checks them;
:mod:`lmlab.config.schema` derives the classes that Hydra composes, whose fields may be missing.
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
# Metadata of a field that may be null until the configuration is frozen.
NULL_UNTIL_FROZEN = {"null_until_frozen": True}


class Component:
    """A component of a run: the class or function that ``_target_`` names, and its parameters.

    Read parameters as attributes (``config.optim.lr``); test whether one is set with
    ``name in component``. Values are plain. Do not change them.
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
        """The parameters that are set, by name: a copy."""
        return {k: copy.deepcopy(v) for k, v in self._content.items() if k != "_target_"}

    def as_dict(self) -> dict[str, Any]:
        """Return the component as plain values, including ``_target_``: a copy."""
        return copy.deepcopy(self._content)


STANDARD_PARAM = Component({"_target_": "lmlab.optim.parametrization.Standard"})
TOKEN_EMBEDDING = Component({"_target_": "lmlab.nn.embedding.TokenEmbedding"})
STANDARD_BLOCK = Component({"_target_": "lmlab.nn.block.Block"})
PLAIN_RESIDUAL = Component({"_target_": "lmlab.nn.residual.PlainResidual"})
LINEAR_HEAD = Component({"_target_": "lmlab.nn.head.LinearHead"})
# Callbacks are several components by name, each with every_steps in addition.
NO_CALLBACKS = Component({})


@dataclasses.dataclass(frozen=True)
class Seeds:
    """One seed for each source of randomness."""

    init: int
    data: int
    sampling: int


@dataclasses.dataclass(frozen=True)
class Model:
    """Sizes and components of the Transformer. ``d_ff`` is a width or ``auto``.

    Fields with a default are missing in configurations that earlier versions froze.
    """

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
    dropout: float = 0.0
    param: Component = STANDARD_PARAM
    embedding: Component = TOKEN_EMBEDDING
    block: Component = STANDARD_BLOCK
    residual: Component = PLAIN_RESIDUAL
    head: Component = LINEAR_HEAD

    def as_dict(self) -> dict[str, Any]:
        """Return the node as plain values: a copy."""
        return _plain(self)


@dataclasses.dataclass(frozen=True)
class Training:
    """The training loop; see :class:`lmlab.training.trainer.LoopSettings`.

    Where a budget is given (:mod:`lmlab.config.run_length`), ``steps`` follows from it.
    Fields with a default are missing in configurations that earlier versions froze.
    """

    steps: int
    batch_size: int
    micro_batch_size: int | None
    grad_clip_norm: float | None
    log_every: int
    divergence_margin: float
    patience: int | None = None
    ema: float | None = None
    tokens: float | None = None
    flops: float | None = None
    minutes: float | None = None
    diagnose_every: int | None = None


@dataclasses.dataclass(frozen=True)
class ValidationSettings:
    """When and on how many tokens the model is evaluated, and on which tasks and probes.

    The tasks are as given; see :mod:`lmlab.config.task_settings`. The number of ``probes`` is that
    of the items of each; see :mod:`lmlab.tasks.probes`.
    """

    every_steps: int
    batch_size: int
    max_tokens: int | None
    tasks: Any = None
    probes: int = 0


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """When the state is saved, and which checkpoints are kept."""

    every_steps: int
    keep_last: int
    keep_steps: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Samples:
    """The text that a finished run generates."""

    prompts: tuple[str, ...]
    count: int
    max_new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float | None


@dataclasses.dataclass(frozen=True)
class Runtime:
    """Device and precision (:mod:`lmlab.runtime.device`), and the action of preflight.

    Fields with a default are missing in configurations that earlier versions froze.
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
    """The size of a study: numbers of runs that its design interpolates, and rungs of a ladder.

    Fields with a default are missing in configurations that earlier versions froze.
    """

    name: str
    num_seeds: int
    num_tuning_seeds: int
    extra_seeds: int
    margin: float
    expected_sd: float
    ladder_sizes: int = 5
    ladder_span: float = 100.0
    ladder_flops: float | None = None
    ladder_d_head: int = 32


# Of ``parent``: the runs of a sweep share the updates that they have in common.
AUTO_PARENT = "auto"


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The configuration of a run."""

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
    # Missing in configurations that earlier versions froze; none changes the run's identity.
    notes: str | None = None
    tags: tuple[str, ...] = ()
    purpose: str | None = None
    callbacks: Component = NO_CALLBACKS
    reuse_across_code: bool = False
    ladder: Component | None = None

    @functools.cached_property
    def cache_folder(self) -> Path:
        """The folder of the corpora, tokenizers and token files of all runs."""
        return Path(self.output_root) / "cache"

    @functools.cached_property
    def named_folder(self) -> Path:
        """The folder that the run's names lead to; another configuration may occupy it."""
        return Path(self.output_root) / self.study / self.arm / f"seed{self.seed}"

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration as nested dictionaries and lists: a copy."""
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
    """Return the types of a dataclass's fields, by name."""
    return typing.get_type_hints(kind)


def build_tree(kind: type[T], content: Mapping[str, Any]) -> T:
    """Make the dataclass ``kind`` from nested plain values that are valid."""
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
