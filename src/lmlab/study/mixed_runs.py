"""What the runs of a study do not share: their environment, and their code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmlab.console.formatting import format_count
from lmlab.run_folder import REUSED_KEY, sessions_of
from lmlab.runtime.numeric_environment import environment_of_session
from lmlab.study.run_records import RunRecord, Study

_SHOWN = 6


def mixed_runs(study: Study) -> list[str]:
    """State in which environments and with which code the runs were computed, where they differ."""
    records = [record for record in study.records if record.state != "missing"]
    lines = []
    environments = list(_differing(map(_environment, records)))
    if environments:
        lines.append(
            "The runs were computed in different environments, which may change last bits: "
            f"{_list(environments)}."
        )
    code = list(_differing(map(_code, records)))
    if code:
        lines.append(f"The runs were computed with different code: {_list(code)}.")
    return lines + [
        f"Seed {record.job.seed} of {record.job.arm} is a run of other code "
        f"(reuse_across_code=true): {_list(changes)}."
        for record in records
        for changes in _taken_for(study, record)
    ]


def _environment(record: RunRecord) -> dict[str, set[str]]:
    """Return all values of each quantity in the sessions of a run."""
    found: dict[str, set[str]] = defaultdict(set)
    for session in sessions_of(record.meta):
        environment = environment_of_session(session)
        variables = environment.pop("variables", None)
        for key, value in environment.items():
            found[key].add(str(value))
        if isinstance(variables, Mapping):
            found["variables"].add(", ".join(f"{k}={v}" for k, v in variables.items()) or "none")
    return found


def _code(record: RunRecord) -> dict[str, set[str]]:
    """Return the version of each part of the code of a run, as far as its identity holds it."""
    identity = record.meta.get("identity")
    if not isinstance(identity, Mapping):
        return {}
    found: dict[str, set[str]] = {}
    for key, prefix in (("code", ""), ("lmlab", "lmlab/")):
        part = identity.get(key)
        if isinstance(part, Mapping):
            found |= {f"{prefix}{name}": {str(value)} for name, value in part.items()}
    if "numerics" in identity:
        found["numerics of lmlab"] = {str(identity["numerics"])}
    return found


def _differing(runs: Iterator[Mapping[str, set[str]]]) -> Iterator[str]:
    """Yield ``key value in n runs, value in m runs`` for each key with several values."""
    numbers: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for run in runs:
        for key, values in run.items():
            for value in values:
                numbers[key][value] += 1
    for key, counts in sorted(numbers.items()):
        if len(counts) > 1:
            values_in = (f"{value} in {format_count(n, 'run')}" for value, n in counts.items())
            yield f"{key} {', '.join(sorted(values_in))}"


def _taken_for(study: Study, record: RunRecord) -> Iterator[list[str]]:
    """Yield what differs in a run that this study took although its code is another."""
    for entry in _mappings(record.meta.get(REUSED_KEY)):
        changes = entry.get("changes")
        if entry.get("study") == study.name and isinstance(changes, list):
            yield [str(change) for change in changes]
            return


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    found = value if isinstance(value, list) else []
    return [one for one in found if isinstance(one, Mapping)]


def _list(items: Sequence[str]) -> str:
    more = f"; and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return "; ".join(items[:_SHOWN]) + more
