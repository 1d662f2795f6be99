"""Every run below an output folder as one row of a table: what it is, how it was set, its results.

A column has one type, so that the same table makes a DataFrame, CSV, JSON and Parquet. Settings
become columns where they differ between runs, by their dotted keys; a component, such as
``model.norm``, is named by its class.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmlab.config.deprecated_keys import upgrade
from lmlab.design.run_keys import typed_text
from lmlab.errors import ConfigError, DataError, suggestion
from lmlab.run_folder import RunFolder, flatten, sessions_of
from lmlab.storage.fields import warn_once
from lmlab.storage.plain_yaml import load_plain
from lmlab.storage.record_fields import with_losses
from lmlab.study.named_runs import folders_with
from lmlab.study.sweep_folder import SweepFolder

Value = str | int | float | bool | None
Row = dict[str, Value]

# Columns before the settings, and after them.
NAMES = ("study", "arm", "seed", "run", "status", "purposes")
RESULTS = (
    "loss", "best_loss", "best_step", "bits_per_byte", "train_loss", "step", "steps", "tokens",
    "seconds", "parameters", "flops", "device", "started", "tags", "notes",
)  # fmt: skip
TYPES: dict[str, type] = {
    **dict.fromkeys(("seed", "best_step", "step", "steps", "tokens", "parameters"), int),
    **dict.fromkeys(("loss", "best_loss", "bits_per_byte", "train_loss", "seconds", "flops"),
                    float),
    **dict.fromkeys(("study", "arm", "run", "status", "purposes", "device", "started", "tags",
                     "notes"), str),
}  # fmt: skip
# Names, places and annotations, which columns of their own have, and the tracker.
_NO_SETTING = re.compile(r"(study|arm|seed|output_root|notes|tags|name|logger(\..*)?|hydra(\..*)?)")


@dataclasses.dataclass(frozen=True)
class ResultTable:
    """Runs as rows.

    Attributes:
        types: of the values of each column, ``str``, ``int``, ``float`` or ``bool``, in the order
            of the columns. Every value is of this type or None.
        rows: one for each run; each has all columns.
    """

    types: dict[str, type]
    rows: list[Row]

    def sorted_by(self, key: str) -> ResultTable:
        """Return the runs in the order of a column; unknown and NaN last.

        Args:
            key: name of a column; with ``-`` before it, the largest value first.

        Raises:
            ConfigError: there is no such column.
        """
        name = key.removeprefix("-")
        if name not in self.types:
            raise ConfigError(
                f"sort={key}: expected one of {', '.join(self.types)}",
                suggestion(name, self.types) or "put - before it for the largest first",
            )
        known = [row for row in self.rows if not _is_unknown(row[name])]
        unknown = [row for row in self.rows if _is_unknown(row[name])]
        ordered = sorted(known, key=_order(name), reverse=key.startswith("-"))
        return dataclasses.replace(self, rows=[*ordered, *unknown])


def _order(name: str) -> Callable[[Row], Any]:
    return lambda row: row[name]


def _is_unknown(value: Value) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def read_results(root: Path, runs: Iterable[RunFolder] | None = None) -> ResultTable:
    """Read the runs below a folder; only their records are read, not their weights.

    ``loss`` is the last validation loss and ``best_loss`` the lowest one, in nats per token, at
    ``best_step``; ``train_loss`` is the mean since the row before the last one. ``step``,
    ``tokens`` and ``seconds`` (in the training loop) say how far the run got, and ``steps`` how far
    it should get. ``flops`` are those of training so far: three forward passes for each token.
    ``purposes`` says what sweeps need the run for, such as ``search`` or ``judged``; runs that
    searched for a learning rate are no replicates of those that are judged.

    Args:
        root: an output folder, or the folder of a study or a run in one.
        runs: the runs, where only some of them count; None for all.

    Raises:
        DataError: there is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"root={root}: no such folder")
    folders = _runs_below(root) if runs is None else list(runs)
    purposes = _purposes(root)
    found = [_read_run(run, purposes) for run in folders]
    settings = _columns([one for _, one, _ in found])
    rows = [names | {key: column[index] for key, (_, column) in settings.items()} | results
            for index, (names, _, results) in enumerate(found)]  # fmt: skip
    types = {name: TYPES[name] for name in NAMES}
    types |= {key: kind for key, (kind, _) in settings.items()}
    return ResultTable(types | {name: TYPES[name] for name in RESULTS}, rows)


def _runs_below(root: Path) -> list[RunFolder]:
    runs = [RunFolder(folder) for folder in folders_with(root, "config.yaml")]
    return [run for run in runs if run.status() or run.meta()]


def _purposes(root: Path) -> dict[Path, str]:
    """Return what the sweeps beside and above a folder need each run for, by its real path."""
    found: dict[Path, dict[str, None]] = {}
    places = [root, root.resolve().parent, *root.resolve().parents[1:3]]
    ledgers = {
        path.resolve()
        for place in places
        for pattern in ("sweeps/*/ledger.jsonl", "*/sweeps/*/ledger.jsonl")
        for path in place.glob(pattern)
    }
    for ledger in sorted(ledgers):
        for entry in SweepFolder(ledger.parent).entries():
            found.setdefault(entry.run.path.resolve(), {}).update(dict.fromkeys(entry.purposes))
    return {path: ", ".join(sorted(names)) for path, names in found.items()}


def _read_run(run: RunFolder, purposes: Mapping[Path, str]) -> tuple[Row, dict[str, Any], Row]:
    """Return the names of a run, its settings by dotted key, and its results."""
    config, status, meta = _config(run), run.status(), run.meta()
    rows = run.scan_rows()[0]
    validation = with_losses(run.path / "metrics.jsonl", rows, "validation")
    train = with_losses(run.path / "metrics.jsonl", rows, "train")
    last = validation[-1] if validation else {}
    finite = [row for row in validation if math.isfinite(row["loss"])]
    best = min(finite, key=lambda row: row["loss"]) if finite else {}
    tokens = status.get("tokens", max((row.get("tokens", 0) for row in rows), default=0))
    per_token = meta.get("forward_flops_per_token")
    notes, tags = run.annotations()
    sessions = sessions_of(meta)
    names: Row = {
        "study": str(config.get("study") or run.path.resolve().parents[1].name),
        "arm": str(config.get("arm") or run.path.resolve().parent.name),
        "seed": _seed(config, run),
        "run": str(run.path),
        "status": str(status.get("status", "missing")),
        "purposes": purposes.get(run.path.resolve(), ""),
    }
    results: Row = {
        "loss": last.get("loss"),
        "best_loss": best.get("loss"),
        "best_step": best.get("step"),
        "bits_per_byte": last.get("bits_per_byte"),
        "train_loss": train[-1]["loss"] if train else None,
        "step": status.get("step"),
        "steps": status.get("steps"),
        "tokens": tokens,
        "seconds": status.get("seconds"),
        "parameters": meta.get("num_parameters"),
        "flops": None if per_token is None else 3.0 * per_token * tokens,
        "device": str(sessions[-1]["device"]) if sessions and "device" in sessions[-1] else None,
        "started": str(sessions[0].get("time") or "") if sessions else None,
        "tags": ", ".join(tags),
        "notes": notes or "",
    }
    return names, _settings(config), {key: _as(TYPES[key], one) for key, one in results.items()}


def _config(run: RunFolder) -> dict[str, Any]:
    """Return the configuration of a run in current terms; empty where it cannot be read."""
    try:
        content = load_plain(run.config.read_bytes())
        if isinstance(content, dict):
            return upgrade(content)
    except (OSError, ValueError) as error:
        warn_once(f"{run.config}: cannot be read ({error}); the settings of the run are unknown")
    return {}


def _seed(config: Mapping[str, Any], run: RunFolder) -> int | None:
    if isinstance(config.get("seed"), int):
        return int(config["seed"])
    found = re.match(r"seed(\d+)", run.path.resolve().name)
    return int(found[1]) if found else None


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run by dotted key; of seeds, those that do not follow ``seed``."""
    flat = {key: one for key, one in flatten(dict(config)) if not _NO_SETTING.fullmatch(key)}
    seed = config.get("seed")
    return {key: None if key.startswith("seeds.") and one == seed else one
            for key, one in flat.items()}  # fmt: skip


def _columns(runs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[type, list[Value]]]:
    """Return a column for each setting that differs between runs: its type and its values."""
    keys = dict.fromkeys(key for settings in runs for key in settings)
    components = {key.removesuffix("._target_") for key in keys if key.endswith("._target_")}
    columns = {}
    for key in keys:
        values = [settings.get(key) for settings in runs]
        present = {typed_text(settings[key]) for settings in runs if key in settings}
        owner = next((one for one in components if key.startswith(f"{one}.")), None)
        has_gaps = any(settings and key not in settings for settings in runs) and owner is None
        if len(present) > 1 or has_gaps:
            is_class = key.endswith("._target_")
            shown = _short_names(values) if is_class else values
            columns[key.removesuffix("._target_")] = _one_type(shown)
    return columns


def _short_names(values: Sequence[Any]) -> list[Any]:
    """Return the names of classes without their modules, unless two of them share a name."""
    targets = {value for value in values if value is not None}
    short = {target: str(target).rpartition(".")[2] for target in targets}
    is_clear = len(set(short.values())) == len(targets)
    return [short.get(value) if is_clear else value for value in values]


def _one_type(values: Sequence[Any]) -> tuple[type, list[Value]]:
    """Return values of one type, and the type: texts, as they are typed, where they have several.

    ``auto`` beside ``128`` and lists become texts; integers beside decimals become decimals.
    """
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and kinds != {int}:
        return float, [_as(float, value) for value in values]
    if len(kinds) == 1 and kinds <= {int, bool, str}:
        return kinds.pop(), list(values)
    return str, [None if value is None else typed_text(value) for value in values]


def _as(kind: type, value: Any) -> Value:
    return None if value is None else kind(value)


def columns_of(table: ResultTable) -> Iterator[tuple[str, type, list[Value]]]:
    """Yield each column of a table: its name, the type of its values, and these."""
    for name, kind in table.types.items():
        yield name, kind, [row[name] for row in table.rows]
