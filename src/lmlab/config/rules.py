"""Constraints on settings that types cannot express: ranges, and relations between settings."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from lmlab.config.auto_width import feed_forward_width
from lmlab.config.optimizer_groups import (
    GROUPS,
    KEYS,
    group_entries,
    own_optimizers,
    without_groups,
)
from lmlab.config.part_rules import head_width_multiple, part_rules
from lmlab.config.run_length import BUDGETS
from lmlab.config.shared_parameters import WINDOWS
from lmlab.config.task_settings import parse_tasks
from lmlab.config.value_types import format_value
from lmlab.errors import Check, ConfigError, check_settings

_POLICIES = ("auto", "exact", "fast", "bf16")
_PREFLIGHTS = ("refuse", "warn", "off")
_PARALLEL = ("auto", "none", "ddp", "zero1", "fsdp")
_KNOWN_OPTIMIZERS = ("lmlab.", "torch.optim.")  # others may take any number of betas
# Optimizers of torch that the training loop cannot use, and why.
_UNUSABLE_OPTIMIZERS = {
    "LBFGS": "LBFGS computes the loss several times per update, and this loop computes it once",
    "SparseAdam": "SparseAdam takes sparse gradients, and those of these models are dense",
    "Muon": "torch's Muon updates matrices only, and these models have vectors, too",
    "Optimizer": "Optimizer is the base class of optimizers",
}
# Settings of lmlab's optimizers whose names may mean something else in others.
_OWN_OPTIMIZER_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "slow_beta": (lambda rate: 0 <= rate < 1, "a number in [0, 1)"),
    "alpha": (lambda weight: 0 <= weight < math.inf, "a finite number of 0 or more"),
    "t_alpha_beta3": (lambda steps: 0 < steps < math.inf, "a number of steps above 0, or null"),
    "shampoo_beta": (lambda rate: 0 <= rate < 1, "a number in [0, 1), or null"),
    "precondition_frequency": (lambda steps: steps >= 1, "1 or more"),
    "max_precondition_dim": (lambda size: size >= 1, "1 or more"),
    "warmup_steps": (lambda steps: steps >= 0, "0 or more"),
    "r": (lambda power: 0 <= power < math.inf, "a finite number of 0 or more"),
    "weight_lr_power": (lambda power: 0 <= power < math.inf, "a finite number of 0 or more"),
    "beta2_decay": (lambda power: -math.inf < power <= 0, "a finite number of 0 or less"),
    "d": (lambda size: 1 <= size < math.inf, "a finite number of 1 or more"),
}
_ADJUST_LR = ("match_rms_adamw", "original")
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
# With far more threads, torch aborts the process while it starts them.
_MAX_THREADS = 1024
# Torch's generators accept slightly larger seeds, so that code may add a few to a seed.
LARGEST_SEED = 2**63 - 1
_NAME = re.compile(r"[A-Za-z0-9._+-]+")


def check_rules(config: dict[str, Any]) -> None:
    """Check a resolved configuration. Raises :class:`ConfigError` for the first violated rule."""
    check_values(config)
    _check_schedule(config)
    for node in (config["optim"], *(one for _, one in own_optimizers(config["optim"]))):
        _check_optimizer(node["_target_"])
    _check_param(config)


def check_values(config: dict[str, Any]) -> None:
    """Check what does not depend on the number of steps. Raises :class:`ConfigError`."""
    for rules in (
        _names, _seeds, _model, _components, _data, _vocabulary, _training, _intervals, _samples,
        _runtime, _design,
    ):  # fmt: skip
        check_settings(
            Check(key, format_value(_value(config, key)), is_valid, expected)
            for key, is_valid, expected in rules(config)
        )
    _check_optimizers(config)
    parse_tasks(config["validation"].get("tasks"))
    _check_ladder(config)


# Key, whether its value is valid, and which values are, as the rest of "expected ...".
Rules = Iterator[tuple[str, bool, str]]


def _value(config: dict[str, Any], key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        node = node[part]
    return node


def _one_of(values: tuple[str, ...]) -> str:
    return f"one of {', '.join(values)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _names(config: dict[str, Any]) -> Rules:
    for key in ("study", "arm"):
        text = config[key]
        is_valid = bool(_NAME.fullmatch(text)) and text not in (".", "..") and len(text) <= 200
        yield key, is_valid, "a folder name of letters, digits and . _ + -"
    yield "output_root", bool(config["output_root"]), "a folder"


def _seeds(config: dict[str, Any]) -> Rules:
    for key in ("seed", "seeds.init", "seeds.data", "seeds.sampling"):
        is_valid = 0 <= _value(config, key) <= LARGEST_SEED
        yield key, is_valid, f"an integer from 0 to {LARGEST_SEED}"


def _model(config: dict[str, Any]) -> Rules:
    model = config["model"]
    for key in ("context_length", "d_model", "num_layers", "num_heads"):
        yield f"model.{key}", model[key] >= 1, "1 or more"
    _check_heads(model)
    heads = model["num_heads"]
    d_ff = model["d_ff"]
    is_width = isinstance(d_ff, int) and not isinstance(d_ff, bool) and d_ff >= 1
    yield "model.d_ff", d_ff == "auto" or is_width, "auto, or a width of 1 or more"
    yield "model.dropout", 0 <= model["dropout"] < 1, "a probability of 0 or more and below 1"
    yield from part_rules(model)
    kv_heads = model["attention"].get("num_kv_heads")
    if kv_heads is not None:
        yield (
            "model.attention.num_kv_heads",
            kv_heads >= 1 and heads % kv_heads == 0,
            f"a divisor of model.num_heads={heads}, or null",
        )


def _check_heads(model: dict[str, Any]) -> None:
    """Check that the heads divide the width. Raises :class:`ConfigError` with the nearest sizes."""
    width, heads = model["d_model"], model["num_heads"]
    multiple = head_width_multiple(model)
    if width % (heads * multiple) == 0:
        return
    expected = f"expected a divisor of model.d_model={width}"
    if width % heads == 0:
        expected = f"expected an even model.d_model / model.num_heads, found {width // heads}"
    small = [n for n in range(1, math.isqrt(width) + 1) if width % n == 0]
    divisors = sorted({*small, *(width // n for n in small)})
    divisors = [n for n in divisors if width // n % multiple == 0]
    below, above = [n for n in divisors if n < heads], [n for n in divisors if n > heads]
    smaller = width // (heads * multiple) * heads * multiple
    widths = [n for n in (smaller, smaller + heads * multiple) if n > 0]
    fixes = [
        f"model.{key}={' or '.join(map(str, values))}"
        for key, values in (("num_heads", below[-1:] + above[:1]), ("d_model", widths))
        if values
    ]
    raise ConfigError(f"model.num_heads={heads}: {expected}", f"set {', or '.join(fixes)}")


def _components(config: dict[str, Any]) -> Rules:
    model = config["model"]
    for part, name in (("norm", "eps"), ("init", "std")):
        if name in model[part]:
            yield (
                f"model.{part}.{name}",
                0 <= model[part][name] < math.inf,
                "a finite number of 0 or more",
            )
    head, embedding = model.get("head") or {}, model.get("embedding") or {}
    if "cap" in head:
        yield "model.head.cap", 0 < head["cap"] < math.inf, "a finite number above 0"
    if "coefficient" in head:
        is_valid = 0 <= head["coefficient"] < math.inf
        yield "model.head.coefficient", is_valid, "a finite number of 0 or more"
    if "num_tables" in embedding:
        is_valid = 1 <= embedding["num_tables"] <= model["num_layers"]
        expected = f"1 to model.num_layers={model['num_layers']}"
        yield "model.embedding.num_tables", is_valid, expected


def _data(config: dict[str, Any]) -> Rules:
    if "windows" in config["data"]:  # files of earlier versions, or of sources of one's own
        yield "data.windows", config["data"]["windows"] in WINDOWS, _one_of(WINDOWS)


def _vocabulary(config: dict[str, Any]) -> Rules:
    specials = config["tokenizer"].get("special_tokens", [])
    least = 256 + len(specials)
    expected = f"{least} or more, for 256 bytes and the special tokens"
    size = config["model"]["vocab_size"]
    yield "model.vocab_size", size >= least, expected
    if "vocab_size" in config["tokenizer"]:  # may be set independently of the model's
        yield (
            "tokenizer.vocab_size",
            config["tokenizer"]["vocab_size"] == size,
            f"the same as model.vocab_size={size}, from which it follows; set that one alone",
        )


def _training(config: dict[str, Any]) -> Rules:
    training = config["training"]
    yield "training.steps", training["steps"] >= 0, "0 (an untrained model) or more"
    for name in BUDGETS:
        budget = training.get(name)
        is_valid = budget is None or 0 < budget < math.inf
        yield f"training.{name}", is_valid, "a finite number above 0, or null"
    is_valid = training.get("minutes") is None or config["parent"] is None
    expected = "null with parent, which has taken part of the steps; set training.steps"
    yield "training.minutes", is_valid, expected
    for key in ("batch_size", "log_every"):
        yield f"training.{key}", training[key] >= 1, "1 or more"
    micro, total = training["micro_batch_size"], training["batch_size"]
    yield (
        "training.micro_batch_size",
        micro is None or (micro >= 1 and total % micro == 0),
        f"a divisor of training.batch_size={total}, or null",
    )
    clip = training["grad_clip_norm"]
    yield "training.grad_clip_norm", clip is None or clip > 0, "above 0, or null for no clipping"
    yield "training.divergence_margin", training["divergence_margin"] > 0, "above 0"
    ema = training["ema"]
    yield "training.ema", ema is None or 0 < ema < 1, "a decay between 0 and 1, or null"
    diagnose = training["diagnose_every"]
    expected = "1 or more updates, or null for no diagnostics"
    yield "training.diagnose_every", diagnose is None or diagnose >= 0, expected
    patience = training["patience"]
    expected = "1 or more evaluations, or null to train all steps"
    yield "training.patience", patience is None or patience >= 1, expected


def _check_optimizers(config: dict[str, Any]) -> None:
    """Check the settings of optim, and those of its groups. Raises :class:`ConfigError`."""
    optim = config["optim"]
    nodes = [("optim", without_groups(optim)), *own_optimizers(optim)]
    for index, entry in enumerate(group_entries(optim)):
        settings = {key: value for key, value in entry.items() if key not in KEYS}
        nodes.append((f"optim.{GROUPS}[{index}]", {"_target_": optim["_target_"]} | settings))
    for path, node in nodes:
        check_settings(
            Check(f"{path}.{key}", format_value(node[key]), is_valid, expected)
            for key, is_valid, expected in _optim(node)
        )


def _optim(optim: dict[str, Any]) -> Rules:
    """The parameters that optimizers share, including those of ``torch.optim``."""
    ranges = {
        "lr": (lambda rate: 0 < rate < math.inf, "a finite number above 0"),
        "adamw_lr": (lambda rate: 0 < rate < math.inf, "a finite number above 0"),
        "weight_decay": (lambda decay: 0 <= decay < math.inf, "a finite number of 0 or more"),
        "eps": (lambda eps: 0 <= eps < math.inf, "a finite number of 0 or more"),
        "momentum": (lambda share: 0 <= share < 1, "a number in [0, 1)"),
        "ns_steps": (lambda steps: 0 <= steps < 100, "0 to 99"),
    }
    for key, (is_in_range, expected) in ranges.items():
        if _is_number(optim.get(key)):
            yield key, is_in_range(optim[key]), expected
    if optim["_target_"].startswith("lmlab."):
        for key, (is_in_range, expected) in _OWN_OPTIMIZER_RANGES.items():
            if _is_number(optim.get(key)):
                yield key, is_in_range(optim[key]), expected
    betas = optim.get("betas")
    if betas is not None and optim["_target_"].startswith(_KNOWN_OPTIMIZERS):
        is_valid = len(betas) == 2 and all(0 <= beta < 1 for beta in betas)
        yield "betas", is_valid, "two numbers in [0, 1), for example [0.9, 0.95]"
    if optim.get("nesterov"):
        has_momentum = optim.get("momentum") != 0
        yield "nesterov", has_momentum, "false with optim.momentum=0"
    if "adjust_lr" in optim:
        yield "adjust_lr", optim["adjust_lr"] in _ADJUST_LR, _one_of(_ADJUST_LR)


def _intervals(config: dict[str, Any]) -> Rules:
    for key in ("validation.every_steps", "validation.batch_size", "checkpoint.every_steps"):
        yield key, _value(config, key) >= 1, "1 or more"
    yield "checkpoint.keep_last", config["checkpoint"]["keep_last"] >= 1, "1 or more"
    kept = config["checkpoint"]["keep_steps"]
    yield "checkpoint.keep_steps", all(step >= 0 for step in kept), "steps of 0 or more"
    limit = config["validation"]["max_tokens"]
    expected = "1 or more, or null for the full split"
    yield "validation.max_tokens", limit is None or limit >= 1, expected
    probes = config["validation"].get("probes", 0)
    yield "validation.probes", probes >= 0, "a number of items per probe, or 0 for no probes"


def _samples(config: dict[str, Any]) -> Rules:
    samples = config["samples"]
    yield "samples.count", samples["count"] >= 0, "0 or more"
    yield "samples.max_new_tokens", samples["max_new_tokens"] >= 1, "1 or more"
    temperature = samples["temperature"]
    yield (
        "samples.temperature",
        0 <= temperature < math.inf,
        "a finite number of 0 (greedy) or more",
    )
    top_k, top_p = samples["top_k"], samples["top_p"]
    yield "samples.top_k", top_k is None or top_k >= 1, "1 or more, or null"
    yield "samples.top_p", top_p is None or 0 < top_p <= 1, "a number in (0, 1], or null"


def _runtime(config: dict[str, Any]) -> Rules:
    runtime = config["runtime"]
    device = bool(_DEVICE.fullmatch(runtime["device"]))
    yield "runtime.device", device, "one of auto, cpu, mps, cuda, cuda:<index>"
    yield "runtime.policy", runtime["policy"] in _POLICIES, _one_of(_POLICIES)
    yield "runtime.compile", runtime["compile"] in ("auto", True, False), "one of auto, true, false"
    threads = runtime["threads"]
    is_number = isinstance(threads, int) and not isinstance(threads, bool)
    is_valid = threads == "auto" or (is_number and 1 <= threads <= _MAX_THREADS)
    expected = f"auto, or 1 to {_MAX_THREADS}; more threads than cores slow a run down"
    yield "runtime.threads", is_valid, expected
    is_valid = runtime["preflight"] in _PREFLIGHTS
    yield "runtime.preflight", is_valid, "one of refuse, warn, 'off' (quoted in a YAML file)"
    yield "runtime.cuda_graph", runtime["cuda_graph"] in ("auto", False), "one of auto, false"
    yield "runtime.beside", runtime["beside"] >= 0, "0 or more"
    yield "runtime.parallel", runtime["parallel"] in _PARALLEL, _one_of(_PARALLEL)


def _design(config: dict[str, Any]) -> Rules:
    for quantity, share in ((config["design"] or {}).get("tolerance") or {}).items():
        is_valid = _is_number(share) and share >= 0
        expected = "a fraction of 0 or more, for example 0.01"
        yield f"design.tolerance.{quantity}", is_valid, expected


def _check_ladder(config: dict[str, Any]) -> None:
    """Refuse sizes of a ladder where nothing compares at them."""
    is_ladder = str((config["design"] or {}).get("_target_")).endswith(".Ladder")
    if config.get("ladder") is not None and not is_ladder:
        raise ConfigError(
            "ladder: expected design=ladder, which compares at these sizes",
            "set design=ladder, or remove the setting",
        )


def _check_schedule(config: dict[str, Any]) -> None:
    """Let lmlab's own schedules, which need no torch, check their parameters."""
    parameters = dict(config["schedule"])
    module, _, name = parameters.pop("_target_").rpartition(".")
    if module == "lmlab.optim.lr_schedule" and config["training"]["steps"] > 0:
        schedule = getattr(importlib.import_module(module), name)
        supplied = {
            "total_steps": config["training"]["steps"],
            "tokens_per_step": config["training"]["batch_size"] * config["model"]["context_length"],
        }
        schedule(0, **supplied, **parameters)


def _check_optimizer(target: str) -> None:
    """Refuse optimizers of torch that cannot train these models, before torch is imported."""
    reason = _UNUSABLE_OPTIMIZERS.get(target.rpartition(".")[2])
    if reason is not None and target.startswith("torch.optim."):
        muon = "set optim=muon, which updates the vectors with AdamW"
        raise ConfigError(
            f"optim._target_={target}: expected an optimizer that can update this model: {reason}",
            muon if target.endswith("Muon") else "set optim=adamw, optim=sgd or optim=muon",
        )


def _check_param(config: dict[str, Any]) -> None:
    """Let lmlab's own parametrizations, which need no torch, check their settings."""
    model, parameters = config["model"], dict(config["model"]["param"])
    module, _, name = parameters.pop("_target_").rpartition(".")
    if name != "Standard" and model["init"]["_target_"] == "lmlab.hf.weights.Imported":
        raise ConfigError(
            f"model.param._target_={module}.{name}: expected standard with imported weights, which "
            "it would multiply",
            "set model.param=standard, or model.init=truncated_normal to train from new weights",
        )
    if module != "lmlab.optim.parametrization" or name == "Standard":
        return
    parametrizations = importlib.import_module(module)
    shape = parametrizations.ModelShape.of(model, feed_forward_width(model))
    parametrization = getattr(parametrizations, name)(**parameters)
    for node in (config["optim"], *(one for _, one in own_optimizers(config["optim"]))):
        parametrization.check(shape, node)
