"""The interface of a tracker, and the description of a run that it receives."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from lmlab.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """Describes a run to a tracker.

    Attributes:
        folder: the run folder.
        name: arm and seed.
        group: the study.
        tags: for filtering.
        config: the full configuration as plain values.
        resumed: whether this session resumes an earlier one.
        notes: the user's notes on the run.
        purpose: what a study needs the run for (``search``, ``judged`` ...); otherwise empty.
        earlier_rows: the rows of ``metrics.jsonl`` before this session, of an earlier session or of
            the run that this one extends; :meth:`Tracker.log` receives the later rows only.
    """

    folder: Path
    name: str
    group: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    resumed: bool = False
    notes: str | None = None
    purpose: str = ""
    earlier_rows: Sequence[dict[str, Any]] = ()

    @property
    def study_folder(self) -> Path:
        """The folder of the study; the run folder itself if it was moved out of its study."""
        folder, names = self.folder.resolve(), Path(self.group).parts
        is_in_study = folder.parts[-2 - len(names) : -2] == names
        return folder.parents[1] if is_in_study else folder


class Tracker(Protocol):
    """Receives the metrics and samples of a run."""

    def log(self, row: dict[str, Any]) -> None:
        """Record a row of ``metrics.jsonl``."""
        ...

    def samples(self, rows: Sequence[dict[str, Any]]) -> None:
        """Record generated texts; each row has a ``prompt``, a ``text`` and the ``step``."""
        ...

    def summary(self, values: dict[str, Any]) -> None:
        """Record the final values of the session; see :func:`final_values`."""
        ...

    def finish(self, exit_code: int) -> None:
        """End the session with the exit code of the run."""
        ...


def describe_to_tracker(
    run: RunFolder, config: dict[str, Any], *, resumed: bool = False
) -> RunInfo:
    """Describe a run to a tracker, from its folder and its configuration."""
    meta = run.meta()
    notes, tags = run.annotations()
    corpus = meta.get("corpus")
    return RunInfo(
        folder=run.path,
        name=f"{config['arm']}/seed{config['seed']}",
        group=config["study"],
        tags=tuple(dict.fromkeys([*([corpus] if corpus else []), *tags])),
        config=config,
        resumed=resumed,
        notes=notes,
        purpose=config.get("purpose") or "",
        earlier_rows=run.rows(),
    )


def read_samples(path: Path, prompts: Sequence[str]) -> list[dict[str, Any]]:
    """Read the texts of ``samples.md``, each with its ``prompt``, ``text`` and ``step``."""
    if not path.exists():
        return []
    content = path.read_bytes().decode("utf-8", "replace")  # reading as text would change line ends
    found = re.match(r"# Samples at step (\d+)", content)
    start = content.find("```text\n")
    if found is None or start < 0:
        return []
    blocks = content[start:].rstrip().removesuffix("\n```").split("\n```\n\n```text\n")
    blocks[0] = blocks[0].removeprefix("```text\n")
    rows = []
    for block in blocks:
        known = [prompt for prompt in prompts if block.startswith(prompt)]
        prompt = max(known, key=len, default="")
        rows.append({"prompt": prompt, "text": block[len(prompt) :], "step": int(found.group(1))})
    return rows


def final_values(run: RunFolder, purpose: str, status: str | None = None) -> dict[str, Any]:
    """Return what is known about a run at the end of a session, from its files.

    Args:
        run: the run folder.
        purpose: see :class:`RunInfo`.
        status: how the session ended; by default the status of the run.

    Returns:
        ``loss``, ``perplexity`` and ``bits_per_byte`` of the last evaluation, ``best_loss`` and
        ``best_step``; ``step``, ``tokens`` and ``seconds`` of the last row; ``status``,
        ``purpose``, ``parameters``, ``commit``, and ``floor`` and ``floor_bits_per_byte``, the
        entropy of the validation text. Those that are unknown are missing.
    """
    meta, rows, evaluated = run.meta(), run.rows(), run.evaluations()
    session = (meta.get("sessions") or [{}])[-1]
    floor = meta.get("floor") or {}
    values: dict[str, Any] = {
        "status": status or run.status().get("status"),
        "purpose": purpose or "run",
    }
    values["parameters"] = meta.get("num_parameters")
    values["commit"] = (session.get("code") or {}).get("commit")
    values["floor"] = floor.get("nats_per_token")
    values["floor_bits_per_byte"] = floor.get("bits_per_byte")
    if rows:
        values |= {key: rows[-1].get(key) for key in ("step", "tokens", "seconds")}
    if evaluated:
        keys = ("loss", "perplexity", "bits_per_byte")
        values |= {key: evaluated[-1].get(key) for key in keys}
    trained = [row for row in evaluated if row["step"] > 0 and math.isfinite(row["loss"])]
    if trained:
        best = min(trained, key=lambda row: row["loss"])
        values |= {"best_loss": best["loss"], "best_step": best["step"]}
    return {key: value for key, value in values.items() if value not in (None, "")}
