"""The typed trunk of the configuration: unknown keys and wrong types fail when it is composed.

Fields typed ``dict`` are leaves: a ``_target_`` and the knobs of that variant, checked by the
gate against the target's signature.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclasses.dataclass
class Seeds:
    """One seed for each source of chance."""

    init: int = MISSING
    data: int = MISSING
    sampling: int = MISSING


@dataclasses.dataclass
class Model:
    """Sizes of the Transformer, and its parts. ``d_ff`` is a width or ``auto``."""

    vocab_size: int = MISSING
    context_length: int = MISSING
    d_model: int = MISSING
    num_layers: int = MISSING
    num_heads: int = MISSING
    d_ff: Any = MISSING
    tie_embeddings: bool = MISSING
    norm: dict[str, Any] = MISSING
    pos: dict[str, Any] = MISSING
    ffn: dict[str, Any] = MISSING
    attention: dict[str, Any] = MISSING
    init: dict[str, Any] = MISSING


@dataclasses.dataclass
class Training:
    """The loop; see :class:`lmlab.training.trainer.LoopSettings`."""

    steps: int = MISSING
    batch_size: int = MISSING
    micro_batch_size: int | None = MISSING
    grad_clip_norm: float | None = MISSING
    log_every: int = MISSING
    divergence_margin: float = MISSING


@dataclasses.dataclass
class ValidationSettings:
    """When and on how many tokens the model is evaluated."""

    every_steps: int = MISSING
    batch_size: int = MISSING
    max_tokens: int | None = MISSING


@dataclasses.dataclass
class Checkpoint:
    """When the state is saved, and how much of it is kept."""

    every_steps: int = MISSING
    keep_last: int = MISSING
    keep_steps: list[int] = MISSING


@dataclasses.dataclass
class Samples:
    """The texts that a finished run writes."""

    prompts: list[str] = MISSING
    count: int = MISSING
    max_new_tokens: int = MISSING
    temperature: float = MISSING
    top_k: int | None = MISSING
    top_p: float | None = MISSING


@dataclasses.dataclass
class Runtime:
    """Device, numerical policy (:func:`lmlab.runtime.device.resolve_device`), and what preflight does."""

    device: str = MISSING
    policy: str = MISSING
    compile: Any = MISSING
    threads: Any = MISSING
    preflight: str = "refuse"  # configurations frozen before these existed stay readable
    beside: int = 0
    parallel: str = "auto"
    cuda_graph: Any = "auto"


@dataclasses.dataclass
class Scale:
    """How large a study is; the numbers of runs that a study's design takes from here."""

    name: str = MISSING
    num_seeds: int = MISSING
    num_tuning_seeds: int = MISSING
    extra_seeds: int = MISSING
    margin: float = MISSING
    expected_sd: float = MISSING


@dataclasses.dataclass
class Trunk:
    """A whole run."""

    study: str = MISSING
    arm: str | None = MISSING
    seed: int = MISSING
    seeds: Seeds = dataclasses.field(default_factory=Seeds)
    output_root: str = MISSING
    parent: str | None = MISSING
    data: dict[str, Any] = MISSING
    tokenizer: dict[str, Any] = MISSING
    model: Model = dataclasses.field(default_factory=Model)
    optim: dict[str, Any] = MISSING
    schedule: dict[str, Any] = MISSING
    training: Training = dataclasses.field(default_factory=Training)
    validation: ValidationSettings = dataclasses.field(default_factory=ValidationSettings)
    checkpoint: Checkpoint = dataclasses.field(default_factory=Checkpoint)
    samples: Samples = dataclasses.field(default_factory=Samples)
    runtime: Runtime = dataclasses.field(default_factory=Runtime)
    logger: dict[str, Any] = MISSING
    reuse: bool = MISSING
    scale: Scale = dataclasses.field(default_factory=Scale)
    design: dict[str, Any] | None = MISSING
    exhibit: dict[str, Any] | None = MISSING


def register() -> None:
    """Make the trunk known to Hydra as the config ``schema``."""
    ConfigStore.instance().store(name="schema", node=Trunk)
