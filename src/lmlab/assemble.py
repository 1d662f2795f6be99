"""From a frozen configuration to objects: the one place that knows both.

Every leaf of the configuration names its class or function by ``_target_`` and holds its knobs;
what only the rest of the run can know (sizes, parameters, folders) is supplied here.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lmlab import native
from lmlab.background import InBackground
from lmlab.checkpoint import Checkpoints
from lmlab.compiling import share_cache
from lmlab.config.compose import Config, meaning, plain
from lmlab.data.batches import Batches, validation_windows
from lmlab.data.sources import Corpus
from lmlab.data.token_file import TokenFile, encode_corpus
from lmlab.device import Device
from lmlab.errors import ConfigError
from lmlab.fully_sharded import FullyShardedOptimizer
from lmlab.gradients import Gradients
from lmlab.graphed import Compute, graphed
from lmlab.model import Transformer
from lmlab.nn import compiled_attention, compiled_loss, cpu_attention
from lmlab.objective import HeadLoss, compiled, in_chunks, of_logits
from lmlab.optim.groups import parameter_groups
from lmlab.optim.sharded import ShardedOptimizer
from lmlab.ranks.ranks import ALONE, Ranks
from lmlab.resident import ResidentBatches, fits_on
from lmlab.tokenizer import Tokenizer
from lmlab.tracking import RunInfo, Tracker
from lmlab.train_state import Progress, TrainState
from lmlab.validation import Evaluator
from lmlab.working import WorkingCopy

# By type of device; raised when a change of the code changes the numbers that a run of the same
# settings computes there.
NUMERICS_VERSIONS = {"cpu": 4, "cuda": 5, "mps": 4}


def build(node: Config, **supplied: Any) -> Any:
    """Call the leaf's ``_target_`` with its knobs and with what the assembly supplies."""
    return factory(node)(**supplied)


def factory(node: Config) -> functools.partial[Any]:
    """The leaf's ``_target_`` with its knobs bound, still to be called."""
    knobs = plain(node)
    module, _, name = knobs.pop("_target_").rpartition(".")
    return functools.partial(getattr(importlib.import_module(module), name), **knobs)


@dataclasses.dataclass(frozen=True)
class Texts:
    """The data of a run: its corpus, the tokenizer, and both splits as tokens."""

    corpus: Corpus
    tokenizer: Tokenizer
    train: TokenFile
    valid: TokenFile

    def floor(self) -> dict[str, Any] | None:
        """The exact entropy of the validation text, where its maker knows it."""
        floor = self.corpus.floor
        if floor is None:
            return None
        return {
            "nats_per_token": floor.nats / max(self.valid.num_tokens - 1, 1),
            "bits_per_byte": floor.bits_per_byte,
            "note": floor.note,
        }


def check_source(config: Config) -> None:
    """Look at the data settings without reading the data. Raises :class:`DataError`."""
    build(config.data, cache_dir=cache_folder(config)).check()


def cache_folder(config: Config) -> Path:
    """Where corpora, tokenizers and token files are kept for all runs."""
    return Path(config.output_root) / "cache"


def prepare_texts(config: Config) -> Texts:
    """Make or find the corpus, the tokenizer and the token files.

    Raises:
        DataError: the text cannot be used, or the vocabulary is not the model's.
    """
    cache = cache_folder(config)
    corpus: Corpus = build(config.data, cache_dir=cache).prepare()
    tokenizer: Tokenizer = build(
        config.tokenizer,
        train_paths=corpus.train_paths,
        cache_dir=cache,
        corpus_hash=corpus.train_hash,
    )
    if tokenizer.vocab_size != config.model.vocab_size:
        raise ConfigError(
            f"model.vocab_size={config.model.vocab_size}: the tokenizer has "
            f"{tokenizer.vocab_size} entries; set model.vocab_size={tokenizer.vocab_size}"
        )
    splits = {}
    for name, paths, text_hash in (
        ("train", corpus.train_paths, corpus.train_hash),
        ("valid", corpus.valid_paths, corpus.valid_hash),
    ):
        splits[name] = encode_corpus(paths, tokenizer, cache, name=name, text_hash=text_hash)
        splits[name].check(tokenizer.hash, config.model.context_length, tokenizer.vocab_size)
    return Texts(corpus, tokenizer, splits["train"], splits["valid"])


def identity(config: Config, texts: Texts, device: Device) -> dict[str, Any]:
    """Everything that changes the result of a run, and nothing else."""
    return {
        "config": meaning(config),
        "train_text": texts.corpus.train_hash,
        "valid_text": texts.corpus.valid_hash,
        "tokenizer": texts.tokenizer.hash,
        "device": device.identity(),
        "numerics": NUMERICS_VERSIONS[device.device.type],
    }


def check_parallel(config: Config, device: Device, ranks: Ranks) -> None:
    """Refuse a division of the model that its parts do not allow. Raises :class:`ConfigError`."""
    if not ranks.divides_model:
        return
    where = "runtime.parallel=fsdp"
    instead = "runtime.parallel=zero1 divides the optimizer's state and has no such bound"
    optimizer = factory(config.optim).func
    if getattr(optimizer, "needs_whole_matrices", False):
        raise ConfigError(
            f"optim._target_={config.optim._target_}: it needs whole matrices, which {where} cuts; "
            f"{instead}"
        )
    if device.policy.precision == "bf16":
        raise ConfigError(
            f"runtime.policy=bf16: its rounded copy of the matrices would be whole on every rank; "
            f"accepted with {where} is fast or exact; {instead}"
        )
    if device.compile:
        raise ConfigError(f"runtime.compile=true: accepted with {where} is false; {instead}")


def first_choice(config: Config) -> Path:
    """The folder that a run's names give it; another configuration's run may stand there."""
    return Path(config.output_root) / config.study / config.arm / f"seed{config.seed}"


def build_model(config: Config) -> Transformer:
    """The model with its initial weights, on the CPU."""
    network = build_network(config)
    build(config.model.init)(network, seed=config.seeds.init)
    return network


def build_network(config: Config) -> Transformer:
    """The model's parts put together; its weights are whatever torch gives."""
    model = config.model
    return Transformer(
        vocab_size=model.vocab_size,
        context_length=model.context_length,
        d_model=model.d_model,
        num_layers=model.num_layers,
        num_heads=model.num_heads,
        d_ff=None if model.d_ff == "auto" else int(model.d_ff),
        tie_embeddings=model.tie_embeddings,
        norm=build(model.norm),
        pos=build(
            model.pos,
            d_model=model.d_model,
            d_head=model.d_model // model.num_heads,
            context_length=model.context_length,
        ),
        ffn=factory(model.ffn),
        attention=factory(model.attention),
    )


def build_scratch_network(config: Config, device: Device) -> Transformer:
    """The model on its device with weights that are fit for measuring its time alone."""
    with torch.device(device.device):
        network = build_network(config)
    generator = torch.Generator(device.device).manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.02, generator=generator)
    adapt(config, network, device)
    return network


def adapt(config: Config, model: Transformer, device: Device) -> None:
    """Let a model's parts compute as the policy does on this device."""
    kernels = _own_kernels(device)
    if kernels == "triton":
        from lmlab.nn import triton_attention, triton_gate

        model.gate_jointly(triton_gate.joint_gate)
        if triton_attention.fits(model.d_head, model.context_length):
            model.attend_jointly(triton_attention.joint_attention)
    elif kernels == "native":
        compiled_attention.prepare(model.d_head, _kernel_folder(config))
        model.attend_by(compiled_attention.causal_attention)
    elif device.device.type == "cpu" and not device.policy.is_plain:
        model.attend_by(cpu_attention.causal_attention)


def _own_loss(config: Config, device: Device) -> HeadLoss | None:
    kernels = _own_kernels(device)
    if kernels == "triton":
        from lmlab.nn import triton_loss

        fits = config.model.vocab_size <= triton_loss.LARGEST_VOCABULARY
        return triton_loss.chunked_cross_entropy if fits else None
    if kernels == "native":
        compiled_loss.prepare(_kernel_folder(config))
        return compiled_loss.chunked_cross_entropy
    return None


def _own_kernels(device: Device) -> str | None:
    """Which kernels of our own a run uses: ``native`` ones, ``triton``'s, or None."""
    if not device.compile or device.policy.is_plain:
        return None
    if device.device.type == "cuda" and device.policy.precision == "bf16":
        return "triton"  # which compiles the rest of the step, too
    return "native" if device.device.type == "cpu" and native.is_supported() else None


def _kernel_folder(config: Config) -> Path:
    return cache_folder(config) / "kernels"


def build_optimizer(config: Config, model: Transformer) -> torch.optim.Optimizer:
    """The optimizer over the model's groups, each with its peak rate as ``initial_lr``."""
    optimizer: torch.optim.Optimizer = build(config.optim, params=parameter_groups(model))
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def build_gradients(
    config: Config,
    model: Transformer,
    device: Device,
    micro_batch_size: int | None = None,
    ranks: Ranks = ALONE,
) -> Compute:
    """What computes an update's gradients; the micro-batch is the run's unless given."""
    training = config.training
    working = WorkingCopy(model) if device.policy.precision == "bf16" else None
    own = model if working is None else working.model
    adapt(config, own, device)
    objective = of_logits(own)
    if not device.policy.is_plain:
        objective = in_chunks(own, _own_loss(config, device))
    if device.compile:
        own.join_products()  # eager, the parts of the joint result would stay in memory together
        share_cache(cache_folder(config))
        objective = compiled(objective, device.device)
    gradients = Gradients(
        objective,
        micro_batch_size=micro_batch_size or training.micro_batch_size or training.batch_size,
        working=working,
    )
    if ranks.divides_model:
        return gradients  # what its hooks do cannot be recorded
    return graphed(
        gradients, list(model.parameters()),
        device=device.device, step_flops=training_flops(config, model),
        setting=config.runtime.cuda_graph,
    )  # fmt: skip


def training_flops(config: Config, model: Transformer) -> int:
    """FLOPs of the passes of an update: a backward pass takes two of each forward one."""
    num_tokens: int = config.training.batch_size * model.context_length
    return 3 * model.forward_flops_per_token() * num_tokens


def build_schedule(config: Config) -> Callable[[int], float]:
    """The factor of the peak learning rate by step."""
    return functools.partial(factory(config.schedule), total_steps=config.training.steps)


def build_batches(
    config: Config, texts: Texts, place: torch.device | None = None, ranks: Ranks = ALONE
) -> Batches | ResidentBatches:
    """Training batches by step, or this rank's part of them.

    They come from ``place``, where it is a GPU that holds the whole text.
    """
    batches = Batches(
        texts.train.tokens,
        context_length=config.model.context_length,
        batch_size=config.training.batch_size,
        seed=config.seeds.data,
        part=ranks.part_of(config.training.batch_size),
    )
    if place is not None and fits_on(place, len(batches.tokens)):
        return ResidentBatches(batches, place)
    return batches


def build_evaluator(
    config: Config, texts: Texts, device: Device, ranks: Ranks = ALONE
) -> Evaluator:
    """The measure of held-out loss."""
    windows = validation_windows(
        texts.valid.tokens,
        context_length=config.model.context_length,
        max_tokens=config.validation.max_tokens,
    )
    return Evaluator(
        texts.valid.tokens,
        windows,
        texts.tokenizer.token_byte_lengths,
        batch_size=config.validation.batch_size,
        device=device.device,
        in_bf16=device.policy.precision == "bf16",
        ranks=ranks,
    )


def build_state(config: Config, device: Device, ranks: Ranks = ALONE) -> TrainState:
    """Model, optimizer and progress of a run that has not begun, as one of its ranks has them."""
    model = build_model(config).to(device.device)
    optimizer = build_optimizer(config, model)
    if ranks.divides_model:
        divided = FullyShardedOptimizer(model, lambda: build_optimizer(config, model), ranks)
        return TrainState(model, divided, Progress())
    if ranks.parallel == "zero1":
        return TrainState(model, ShardedOptimizer(optimizer, ranks), Progress())
    return TrainState(model, optimizer, Progress())


def build_checkpoints(config: Config, folder: Path) -> Checkpoints:
    """The keeper of the run's saved states, which are written in the background."""
    return Checkpoints(
        folder,
        keep_last=config.checkpoint.keep_last,
        keep_steps=config.checkpoint.keep_steps,
        worker=InBackground("checkpoint"),
    )


def build_tracker(config: Config, info: RunInfo) -> Tracker:
    """Where rows go besides ``metrics.jsonl``."""
    tracker: Tracker = build(config.logger, run_info=info)
    return tracker
