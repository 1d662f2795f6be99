"""Rules between settings that types cannot tell, each with a message that names the fix."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Iterator
from typing import Any

from lmlab.config.value_types import as_typed
from lmlab.errors import ConfigError

_POLICIES = ("auto", "exact", "fast", "bf16")
_PREFLIGHTS = ("refuse", "warn", "off")
_PARALLEL = ("auto", "none", "ddp", "zero1", "fsdp")
_ADJUST_LR = ("match_rms_adamw", "original")
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
# Far more, and torch ends the process while it starts them.
_MOST_THREADS = 1024
# Torch's generators take a little more, so that a few may be counted from a seed.
LARGEST_SEED = 2**63 - 1
_NAME = re.compile(r"[A-Za-z0-9._+-]+")


def check_rules(config: dict[str, Any]) -> None:
    """Check a resolved configuration. Raises :class:`ConfigError` for the first rule broken."""
    for rules in (
        _names, _seeds, _model, _parts, _vocabulary, _training, _optim, _intervals, _samples,
        _runtime, _design,
    ):  # fmt: skip
        for key, fine, accepted in rules(config):
            if not fine:
                raise ConfigError(f"{key}={as_typed(_value(config, key))}: accepted is {accepted}")
    _check_schedule(config)


Rules = Iterator[tuple[str, bool, str]]


def _value(config: dict[str, Any], key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        node = node[part]
    return node


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _names(config: dict[str, Any]) -> Rules:
    for key in ("study", "arm"):
        text = config[key]
        fine = bool(_NAME.fullmatch(text)) and text not in (".", "..") and len(text) <= 200
        yield key, fine, "a folder name of letters, digits and . _ + -"
    yield "output_root", bool(config["output_root"]), "a folder"


def _seeds(config: dict[str, Any]) -> Rules:
    for key in ("seed", "seeds.init", "seeds.data", "seeds.sampling"):
        fine = 0 <= _value(config, key) <= LARGEST_SEED
        yield key, fine, f"a whole number from 0 to {LARGEST_SEED}"


def _model(config: dict[str, Any]) -> Rules:
    model = config["model"]
    for key in ("context_length", "d_model", "num_layers", "num_heads"):
        yield f"model.{key}", model[key] >= 1, "1 or more"
    width, heads = model["d_model"], model["num_heads"]
    nearest = max(1, round(width / heads)) * heads
    accepted = f"a multiple of model.num_heads={heads}, for example {nearest}"
    yield "model.d_model", width % heads == 0, accepted
    d_ff = model["d_ff"]
    is_width = isinstance(d_ff, int) and not isinstance(d_ff, bool) and d_ff >= 1
    yield "model.d_ff", d_ff == "auto" or is_width, "auto, or a width of 1 or more"
    if "theta" in model["pos"]:  # a rotation turns pairs of features
        yield (
            "model.d_model",
            (width // heads) % 2 == 0,
            f"such that d_model / num_heads is even, but it is {width // heads}",
        )
        yield "model.pos.theta", 0 < model["pos"]["theta"] < math.inf, "above 0, and finite"
    shared = model["attention"].get("num_kv_heads")
    if shared is not None:
        yield (
            "model.attention.num_kv_heads",
            shared >= 1 and heads % shared == 0,
            f"a divisor of model.num_heads={heads}, or null",
        )


def _parts(config: dict[str, Any]) -> Rules:
    model = config["model"]
    for part, knob in (("norm", "eps"), ("init", "std")):
        if knob in model[part]:
            yield f"model.{part}.{knob}", 0 <= model[part][knob] < math.inf, "0 or more, and finite"


def _vocabulary(config: dict[str, Any]) -> Rules:
    specials = config["tokenizer"].get("special_tokens", [])
    least = 256 + len(specials)
    accepted = f"{least} or more: 256 bytes and {len(specials)} special tokens"
    yield "model.vocab_size", config["model"]["vocab_size"] >= least, accepted
    if "vocab_size" in config["tokenizer"]:  # given apart from the model's
        size = config["model"]["vocab_size"]
        own = config["tokenizer"]["vocab_size"]
        yield "tokenizer.vocab_size", own == size, f"the same as model.vocab_size={size}"


def _training(config: dict[str, Any]) -> Rules:
    training = config["training"]
    yield "training.steps", training["steps"] >= 0, "0 (an untrained model) or more"
    for key in ("batch_size", "log_every"):
        yield f"training.{key}", training[key] >= 1, "1 or more"
    micro, whole = training["micro_batch_size"], training["batch_size"]
    yield (
        "training.micro_batch_size",
        micro is None or (micro >= 1 and whole % micro == 0),
        f"a divisor of training.batch_size={whole}, or null",
    )
    clip = training["grad_clip_norm"]
    yield "training.grad_clip_norm", clip is None or clip > 0, "above 0, or null for no clipping"
    yield "training.divergence_margin", training["divergence_margin"] > 0, "above 0"


def _optim(config: dict[str, Any]) -> Rules:
    """The knobs that optimizers share, torch's own among them."""
    optim = config["optim"]
    ranges = {
        "lr": (lambda rate: 0 < rate < math.inf, "above 0, and finite"),
        "adamw_lr": (lambda rate: 0 < rate < math.inf, "above 0, and finite"),
        "weight_decay": (lambda decay: 0 <= decay < math.inf, "0 or more, and finite"),
        "eps": (lambda eps: 0 <= eps < math.inf, "0 or more, and finite"),
        "momentum": (lambda share: 0 <= share < 1, "0 or more, below 1"),
        "ns_steps": (lambda steps: 0 <= steps < 100, "0 to 99"),
    }
    for key, (is_fine, accepted) in ranges.items():
        if _is_number(optim.get(key)):
            yield f"optim.{key}", is_fine(optim[key]), accepted
    betas = optim.get("betas")
    if betas is not None:
        fine = len(betas) == 2 and all(0 <= beta < 1 for beta in betas)
        yield "optim.betas", fine, "two shares of 0 or more, below 1, for example [0.9, 0.95]"
    if optim.get("nesterov"):
        fine = optim.get("momentum") != 0
        yield "optim.nesterov", fine, "false with optim.momentum=0, along which it would look ahead"
    if "adjust_lr" in optim:
        yield "optim.adjust_lr", optim["adjust_lr"] in _ADJUST_LR, " or ".join(_ADJUST_LR)


def _intervals(config: dict[str, Any]) -> Rules:
    for key in ("validation.every_steps", "validation.batch_size", "checkpoint.every_steps"):
        yield key, _value(config, key) >= 1, "1 or more"
    yield "checkpoint.keep_last", config["checkpoint"]["keep_last"] >= 1, "1 or more"
    most = config["validation"]["max_tokens"]
    yield (
        "validation.max_tokens",
        most is None or most >= 1,
        "1 or more, or null for the whole split",
    )


def _samples(config: dict[str, Any]) -> Rules:
    samples = config["samples"]
    yield "samples.count", samples["count"] >= 0, "0 or more"
    yield "samples.max_new_tokens", samples["max_new_tokens"] >= 1, "1 or more"
    temperature = samples["temperature"]
    yield "samples.temperature", 0 <= temperature < math.inf, "0 (greedy) or more, and finite"
    top_k, top_p = samples["top_k"], samples["top_p"]
    yield "samples.top_k", top_k is None or top_k >= 1, "1 or more, or null"
    yield "samples.top_p", top_p is None or 0 < top_p <= 1, "above 0, at most 1, or null"


def _runtime(config: dict[str, Any]) -> Rules:
    runtime = config["runtime"]
    device = bool(_DEVICE.fullmatch(runtime["device"]))
    yield "runtime.device", device, "auto, cpu, mps, cuda or cuda:<index>"
    yield "runtime.policy", runtime["policy"] in _POLICIES, " or ".join(_POLICIES)
    yield "runtime.compile", runtime["compile"] in ("auto", True, False), "auto, true or false"
    threads = runtime["threads"]
    is_number = isinstance(threads, int) and not isinstance(threads, bool)
    fine = threads == "auto" or (is_number and 1 <= threads <= _MOST_THREADS)
    accepted = f"auto, or 1 to {_MOST_THREADS}; more than there are cores only slow a run"
    yield "runtime.threads", fine, accepted
    fine = runtime["preflight"] in _PREFLIGHTS
    yield "runtime.preflight", fine, "refuse, warn or off ('off' in quotes in a YAML file)"
    yield "runtime.cuda_graph", runtime["cuda_graph"] in ("auto", False), "auto or false"
    yield "runtime.beside", runtime["beside"] >= 0, "0 or more"
    yield "runtime.parallel", runtime["parallel"] in _PARALLEL, " or ".join(_PARALLEL)


def _design(config: dict[str, Any]) -> Rules:
    for quantity, share in ((config["design"] or {}).get("tolerance") or {}).items():
        fine = _is_number(share) and share >= 0
        yield f"design.tolerance.{quantity}", fine, "a share of 0 or more, for example 0.01"


def _check_schedule(config: dict[str, Any]) -> None:
    """Ask lmlab's own schedules, which need no torch, whether they can serve these steps."""
    knobs = dict(config["schedule"])
    module, _, name = knobs.pop("_target_").rpartition(".")
    if module == "lmlab.optim.lr_schedule" and config["training"]["steps"] > 0:
        schedule = getattr(importlib.import_module(module), name)
        schedule(0, total_steps=config["training"]["steps"], **knobs)
