"""The differences between two runs: settings, data, versions, losses and samples."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmlab.config.compose import load_frozen
from lmlab.console.formatting import align_columns, format_count
from lmlab.errors import DataError
from lmlab.run_folder import RunFolder, flatten

_SECTIONS = {
    "settings": "settings",
    "data": "texts and tokenizer",
    "environment": "versions and machine, in the last session",
    "result": "progress and size",
}
_DATA = (
    "corpus", "train_tokens", "valid_tokens", "valid_text_bytes", "identity.train_text",
    "identity.valid_text", "identity.tokenizer",
)  # fmt: skip
_RESULT = ("status", "step", "steps", "num_parameters", "forward_flops_per_token")
_SHOWN_STEPS = 12
_SHOWN_CHARACTERS = 60
_MISSING = "-"


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """The facts of a run that are compared with those of another run.

    Attributes:
        path: the run folder.
        facts: values by section and dotted key.
        losses: validation rows by step.
        samples: the generated texts; empty if there are none.
    """

    path: Path
    facts: Mapping[str, Mapping[str, Any]]
    losses: Mapping[int, Mapping[str, Any]]
    samples: str


def read_run(path: Path) -> RunFacts:
    """Read the files of a run.

    Raises:
        DataError: the folder is not that of a run.
        ConfigError: its configuration is not valid in this version.
    """
    run = RunFolder(path)
    meta = run.meta()
    if not run.config.exists() or not meta:
        raise DataError(f"{path}: expected a run folder", "name outputs/<study>/<arm>/seed<k>")
    facts = dict(flatten({key: value for key, value in meta.items() if key != "sessions"}))
    session = dict((meta.get("sessions") or [{}])[-1])
    for name in ("time", "command", "from_step", "from_seconds"):
        session.pop(name, None)
    code = session.get("code") or {}
    if code.get("diff"):  # long, and known by its hash
        digest = hashlib.sha256(code["diff"].encode()).hexdigest()[:12]
        session["code"] = {**code, "diff": f"sha256 {digest}"}
    return RunFacts(
        path,
        {
            "settings": dict(flatten(load_frozen(run.config).as_dict())),
            "data": {key: facts[key] for key in _DATA if key in facts},
            "environment": dict(flatten(session)),
            "result": {k: v for k, v in {**facts, **run.status()}.items() if k in _RESULT},
        },
        {row["step"]: row for row in run.evaluations()},
        run.samples.read_bytes().decode("utf-8", "replace") if run.samples.exists() else "",
    )


def compare(first: RunFacts, second: RunFacts) -> dict[str, Any]:
    """Return the differences between two runs.

    Returns:
        ``runs``: the two folders. ``statuses``: their status. ``settings``, ``data``,
        ``environment`` and ``result``: pairs of values that differ, by key; a key that only one run
        has is null in the other. ``losses``: for each step at which both runs were evaluated,
        ``step`` and the pairs ``loss`` (nats per token) and ``bits_per_byte``.
        ``same_tokenizer``: whether losses per token can be compared.
        ``samples``: lines of a unified diff.
    """
    found: dict[str, Any] = {"runs": [str(first.path), str(second.path)]}
    found["statuses"] = [one.facts["result"].get("status") for one in (first, second)]
    for section in _SECTIONS:
        left, right = first.facts[section], second.facts[section]
        found[section] = {
            key: [left.get(key), right.get(key)]
            for key in {**left, **right}
            if key not in left or key not in right or left[key] != right[key]
        }
    found["same_tokenizer"] = "identity.tokenizer" not in found["data"]
    found["losses"] = [
        {"step": step}
        | {key: [one.losses[step].get(key) for one in (first, second)]
           for key in ("loss", "bits_per_byte")}
        for step in sorted(first.losses.keys() & second.losses.keys())
    ]  # fmt: skip
    found["samples"] = list(
        difflib.unified_diff(
            first.samples.splitlines(), second.samples.splitlines(),
            str(first.path), str(second.path), lineterm="", n=0,
        )
    )  # fmt: skip
    return found


def describe(difference: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that describe the differences."""
    yield f"A: {difference['runs'][0]}"
    yield f"B: {difference['runs'][1]}"
    for section, title in _SECTIONS.items():
        pairs = difference[section]
        if pairs:
            rows = [(key, *_shown(a, b)) for key, (a, b) in pairs.items()]
            yield from ("", f"{title}:", *_table([("", "A", "B"), *rows]))
    if not any(difference[section] for section in _SECTIONS):
        yield from ("", "settings, texts, tokenizer, versions and progress are equal")
    yield from ("", *_describe_losses(difference))
    if difference["samples"]:
        yield from ("", "samples:", *(f"  {line}" for line in difference["samples"]))


def _describe_losses(difference: Mapping[str, Any]) -> Iterator[str]:
    losses = difference["losses"]
    if not losses:
        unfinished = _unfinished(difference)
        yield f"validation losses: the runs were not evaluated at a common step{unfinished}"
        return
    if all(_equal(a, b) for a, b in (row["loss"] for row in losses)):
        steps = f"all {len(losses)} common steps"
        if len(losses) == 1:
            steps = f"step {losses[0]['step']:,}, the only common one"
        yield f"validation losses: equal at {steps}{_unfinished(difference)}"
        return
    key, unit = "loss", "nats per token"
    if not difference["same_tokenizer"]:
        key, unit = "bits_per_byte", "bits per byte, because the tokenizers differ"
    yield f"validation losses at common steps ({unit}){_unfinished(difference)}:"
    rows = [("step", "A", "B", "B - A")]
    for row in _thinned(losses):
        a, b = (math.nan if value is None else value for value in row[key])
        rows.append((f"{row['step']:,}", f"{a:.4f}", f"{b:.4f}", f"{b - a:+.4f}"))
    yield from _table(rows)
    if len(losses) > _SHOWN_STEPS:
        yield f"  {format_count(len(losses) - _SHOWN_STEPS, 'more step')}: --json prints all"


def _unfinished(difference: Mapping[str, Any]) -> str:
    """Return the status of each run that is not done, after a semicolon."""
    pairs = zip("AB", difference["statuses"], strict=True)
    texts = [f"{name} is {status or 'unknown'}" for name, status in pairs if status != "done"]
    return f"; {' and '.join(texts)}" if texts else ""


def _equal(a: float | None, b: float | None) -> bool:
    return a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b))


def _thinned(rows: Sequence[Any]) -> list[Any]:
    """Return at most ``_SHOWN_STEPS`` rows, first and last included."""
    if len(rows) <= _SHOWN_STEPS:
        return list(rows)
    last = len(rows) - 1
    return [rows[round(index * last / (_SHOWN_STEPS - 1))] for index in range(_SHOWN_STEPS)]


def _shown(a: Any, b: Any) -> tuple[str, str]:
    """Return two values as texts, cut at the end, or before a part in which they differ."""
    texts = [_MISSING if value is None else str(value) for value in (a, b)]
    pairs = enumerate(zip(*texts, strict=False))
    start = next((index for index, (one, other) in pairs if one != other), 0)
    skipped = max(0, start - 20) if max(map(len, texts)) > _SHOWN_CHARACTERS else 0
    cut = [f"...{text[skipped:]}" if skipped else text for text in texts]
    short = (
        text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
        for text in cut
    )  # fmt: skip
    left, right = short
    return left, right


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for line in align_columns(rows):
        yield f"  {line}"
