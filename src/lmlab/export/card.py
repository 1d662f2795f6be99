"""The model card of an exported run, from the records of the run."""

from __future__ import annotations

import math
import shlex
from typing import Any

from lmlab.nn.transformer import Transformer
from lmlab.run_folder import RunFolder
from lmlab.study.plain_text import cell, fenced, inline


def model_card(
    run: RunFolder, content: dict[str, Any], model: Transformer, step: int, has_curve: bool
) -> str:
    """Return the text of ``README.md``: data, loss, command, curve, and how to load the model.

    Args:
        run: the exported run.
        content: the content of ``config.json``.
        model: the exported model.
        step: the step of its weights.
        has_curve: whether the learning curve is exported too.
    """
    meta = run.meta()
    session = (meta.get("sessions") or [{}])[-1]
    remote = content["model_type"] == "lmlab"
    trust = ", trust_remote_code=True" if remote else ""
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "tags: [lmlab]",
        "---",
        "",
        f"# {inline('/'.join(run.path.parts[-3:]))}",
        "",
        f"A language model of {model.num_parameters():,} parameters, trained with lmlab "
        f"({content['architectures'][0]}).",
        "",
        "```python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f'model = AutoModelForCausalLM.from_pretrained("FOLDER"{trust})',
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")',
        "```",
        "",
        "In lmlab: `model, tokenizer = lmlab.load(\"FOLDER\")`.",
        "",
        *(["`modeling_lmlab.py` and `parts_lmlab.py` define the model class; transformers has "
           "none for this architecture.", ""] if remote else []),
        "| | |",
        "|---|---|",
        *(f"| {name} | {cell(value)} |" for name, value in _facts(run, meta, session, model, step)),
        "",
        "## How it was trained",
        "",
        fenced(shlex.join(session.get("command", [])) or "unknown"),
        "",
        *_documents(meta),
        *(["![training and validation loss](learning_curve.png)", ""] if has_curve else []),
    ]  # fmt: skip
    return "\n".join(lines)


def _documents(meta: dict[str, Any]) -> list[str]:
    """Say what to keep in mind where attention did not cross documents."""
    recorded = meta.get("identity", {}).get("documents")
    if not recorded:
        return []
    return [
        "In training, attention did not cross documents (`data.windows=document`), which the id "
        f"{recorded.get('end_id')} separates. This model does not separate them itself: give it "
        "one document per sequence.",
        "",
    ]


def _facts(
    run: RunFolder, meta: dict[str, Any], session: dict[str, Any], model: Transformer, step: int
) -> list[tuple[str, str]]:
    identity = meta.get("identity", {})
    rows = [row for row in run.evaluations() if row.get("step") == step]
    facts = [
        ("corpus", str(meta.get("corpus", "unknown"))),
        ("training text", f"SHA-256 {identity.get('train_text', 'unknown')}"),
        ("training tokens", f"{meta.get('train_tokens', 0):,}"),
        ("context length", f"{model.context_length:,}"),
        ("step of the weights", f"{step:,} of {run.status().get('steps', 0):,}"),
    ]
    if rows:
        facts += [
            ("tokens seen", f"{rows[-1].get('tokens', 0):,}"),
            ("validation loss", f"{rows[-1]['loss']:.4f} nats per token"),
            ("perplexity", f"{rows[-1].get('perplexity', math.nan):.3f}"),
            ("bits per byte", f"{rows[-1].get('bits_per_byte', math.nan):.4f}"),
        ]
    floor = meta.get("floor")
    if floor and {"bits_per_byte", "note"} <= floor.keys():
        facts.append(
            (
                "entropy of the validation text",
                f"{floor['bits_per_byte']:.4f} bits per byte ({floor['note']})",
            )
        )
    commit = (session.get("code") or {}).get("commit")
    facts.append(("lmlab", str((session.get("versions") or {}).get("lmlab", "unknown"))))
    if commit:
        changed = " with uncommitted changes" if session["code"].get("changed") else ""
        facts.append(("commit", commit + changed))
    return facts
