"""The setup of a study: the model, the training and the text of the baseline, one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmlab.config.run_config import STANDARD_PARAM
from lmlab.config.run_length import BUDGETS
from lmlab.run_folder import flatten
from lmlab.study.arm_section import described_width
from lmlab.study.run_records import Study


def build_setup(study: Study) -> list[list[str]]:
    """Return name and description of each part of the setup; empty without a comparison."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        return []
    name = manifest.comparison.baseline or manifest.names[0]
    arm, meta = manifest.arms[manifest.names.index(name)], {}
    for record in study.records:
        if record.job.arm == name and record.meta:
            meta = record.meta
            break
    rows = [["arm", name], ["model", _model(_sized(arm["model"], study, name))]]
    rows += [[key, _component(arm[key])] for key in ("optim", "schedule") if arm.get(key)]
    rows.append(["steps x batch", _steps(arm)])
    rows.append(["regularization", _regularization(arm)])
    rows.append(["precision", _precision(arm, meta)])
    rows.append(["text", _text(arm.get("data"), meta)])
    rows += _data_rows(arm, meta, study.arm_costs.get(name, {}))
    rows.append(["tokenizer", _tokenizer(arm, study.arm_costs.get(name, {}))])
    rows.append(["evaluation", _evaluation(arm, meta, study.arm_costs.get(name, {}))])
    rows.append(["seeds", _seeds(arm)])
    rows.append(["loss before training", _first_loss(study, name)])
    labels = {"optim": "optimizer"}
    return [[labels.get(key, key), value] for key, value in rows if value]


def _sized(model: Mapping[str, Any], study: Study, arm: str) -> dict[str, Any]:
    """Return the settings of a model, with the feed-forward width that ``auto`` results in."""
    return {**model, "d_ff": described_width(study, arm, model.get("d_ff"))}


def _model(model: Mapping[str, Any]) -> str:
    words = {
        "num_layers": "layers", "d_model": "width", "num_heads": "heads", "d_ff": "d_ff",
        "context_length": "context", "vocab_size": "vocabulary",
    }  # fmt: skip
    sizes = [f"{word} {model[key]}" for key, word in words.items() if model.get(key) is not None]
    parts = [
        f"{key} {_class(value)}"
        for key, value in model.items()
        if _is_component(value) and value != STANDARD_PARAM.as_dict()
    ]
    tied = {True: ["tied embeddings"], False: ["untied embeddings"]}
    return ", ".join([*sizes, *parts, *tied.get(model.get("tie_embeddings"), [])])  # type: ignore[arg-type]


def _component(settings: Mapping[str, Any]) -> str:
    values = [f"{key} {value}" for key, value in settings.items() if key not in ("_target_", "lr")]
    return ", ".join([_class(settings), *values])


def _steps(arm: Mapping[str, Any]) -> str:
    training = arm["training"]
    text = f"{training['steps']:,} steps" if training.get("steps") else "steps by the tokens"
    budgets = {name: training[name] for name in BUDGETS if training.get(name) is not None}
    text += "".join(f" (training.{name}={budget:g})" for name, budget in budgets.items())
    context = arm["model"].get("context_length")
    return f"{text} x {training['batch_size']} sequences of {context} tokens"


def _text(data: Any, meta: Mapping[str, Any]) -> str:
    names = [str(data[key]) for key in ("train", "valid") if data and data.get(key)]
    source = " and ".join(names) or str(meta.get("corpus") or (_class(data) if data else ""))
    sizes = [
        f"{meta[key]:,} {word} tokens"
        for key, word in (("train_tokens", "training"), ("valid_tokens", "validation"))
        if meta.get(key)
    ]
    return ", ".join([source, *sizes]) if source else ", ".join(sizes)


def _regularization(arm: Mapping[str, Any]) -> str:
    clip = arm["training"].get("grad_clip_norm")
    clipped = f"gradients clipped to the norm {clip:g}" if clip else "gradients not clipped"
    dropout = arm["model"].get("dropout") or 0
    return f"{clipped}, {f'dropout {dropout:g}' if dropout else 'no dropout'}"


def _precision(arm: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    runtime = arm.get("runtime") or {}
    value = runtime.get("policy") or runtime.get("precision")
    used = (meta.get("policy") or {}).get("name")
    if value in (None, "auto"):
        known = f"{used}, chosen by auto" if used else "auto (the format in effect is not recorded)"
        value = known if value else used
    device = next((one.get("device") for one in reversed(meta.get("sessions", []))), None)
    return ", ".join(str(one) for one in (value, device and f"on {device}") if one)


def _data_rows(
    arm: Mapping[str, Any], meta: Mapping[str, Any], costs: Mapping[str, Any]
) -> list[list[str]]:
    """Return how the text is split, its hash, and the settings that choose it."""
    data = arm.get("data") or {}
    rows = []
    if data.get("train") and data.get("valid"):
        rows.append(["split", "separate files for training and validation"])
    elif data.get("train") and data.get("valid_fraction"):
        held_out = (
            f"{data['valid_fraction']:.2%} of the text held out, by the hash of each document"
        )
        rows.append(["split", f"{held_out} (of text without boundaries, its tail)"])
    if costs.get("data"):
        rows.append(["SHA-256 of the data", f"{costs['data']} (texts as they are encoded)"])
    settings = " ".join(
        f"data.{key}={value}" for key, value in flatten(data) if key != "_target_" and value
    )
    if settings:
        rows.append(["to use the same data", f"{_class(data)}: {settings}"])
    return rows


def _tokenizer(arm: Mapping[str, Any], costs: Mapping[str, Any]) -> str:
    tokenizer = arm.get("tokenizer") or {}
    if not tokenizer.get("_target_"):
        return ""
    kind = _class(tokenizer)
    parts = [kind, f"vocabulary {arm['model'].get('vocab_size')}"]
    if kind == "bpe":
        parts.append("trained on the training text")
    if costs.get("tokenizer"):
        parts.append(f"SHA-256 {costs['tokenizer']}")
    return ", ".join(parts)


def _evaluation(arm: Mapping[str, Any], meta: Mapping[str, Any], costs: Mapping[str, Any]) -> str:
    validation = arm.get("validation") or {}
    limit, total = validation.get("max_tokens"), meta.get("valid_tokens")
    of_sources = ""
    if isinstance(meta.get("sources"), Mapping):
        weights = (arm.get("data") or {}).get("valid_weights") or {}
        weighed = ", ".join(f"{name} {weights.get(name, 1):g}" for name in meta["sources"])
        of_sources = f"; the loss is the mean of those of the sources, with the weights {weighed}"
    if limit and (not total or limit < total):
        number = costs.get("evaluation")
        counted = f"{number:,} of the {total:,}" if number and total else f"at most {limit:,}"
        return (
            f"{counted} validation tokens, in full windows spread evenly over the validation text: "
            f"the same ones in every evaluation of every run{of_sources}"
        )
    return f"all validation tokens, in every evaluation of every run{of_sources}"


def _seeds(arm: Mapping[str, Any]) -> str:
    return (
        "one seed of a run sets the initial weights and the order of the training batches; "
        "arms with the same seed see the same batches in the same order"
        if arm.get("seeds") is not None
        else ""
    )


def _first_loss(study: Study, arm: str) -> str:
    """Return the loss before training, from which the gain of a run is counted."""
    losses = [
        one.outcome.first_loss
        for one in study.records
        if one.job.arm == arm and one.outcome.first_loss is not None
    ]
    if not losses:
        return ""
    low, high = min(losses), max(losses)
    return f"{low:.3f}" if f"{low:.3f}" == f"{high:.3f}" else f"{low:.3f} to {high:.3f} over seeds"


def _is_component(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def _class(settings: Mapping[str, Any]) -> str:
    return str(settings.get("_target_", "")).rpartition(".")[2]
