"""The identity of a run: everything that changes its result, and nothing else."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lmlab.build import numerics
from lmlab.build.equal_settings import canonical_settings, mean_the_same
from lmlab.build.run_data import RunData
from lmlab.build.user_code import earlier_user_code, newest_change, user_code
from lmlab.run_folder import differences, sessions_of
from lmlab.runtime.device import Device
from lmlab.runtime.numeric_environment import (
    environment_changes,
    library_versions,
    numeric_environment,
)

# By device type. Increase a number when a change of the code changes the results of a run with
# unchanged settings on that device.
NUMERICS_VERSIONS = {"cpu": 4, "cuda": 5, "mps": 4}
# The keys of an identity that hold code.
CODE_KEYS = ("code", "lmlab", "numerics")


def run_identity(
    settings: Mapping[str, Any], data: RunData, device: Device, *, is_elsewhere: bool = False
) -> dict[str, Any]:
    """Return the identity of a run; two runs with equal identities are the same run.

    Five keys are there only if they apply: ``tasks``, the hashes of the tasks on which the run is
    scored, by name; ``documents``, which attention does not cross; ``code``, where the settings
    name code of one's own; ``lmlab``, where files of lmlab that compute numbers differ from the
    record of the release; and ``environment``, under the policy ``exact``.

    Args:
        settings: the part of the configuration that changes the result; see
            :func:`lmlab.config.identity_settings.identity_settings`.
        data: identified by content hashes, not by paths.
        device: identified by type, precision, compilation and, on a CPU, threads.
        is_elsewhere: whether another machine computes, of which only the libraries are known.
    """
    identity = {
        "config": settings,
        "train_text": data.corpus.train_hash,
        "valid_text": data.corpus.valid_hash,
        "tokenizer": data.tokenizer.hash,
        "device": device.identity(),
        "numerics": NUMERICS_VERSIONS[device.device.type],
    }
    if data.tasks:
        identity["tasks"] = {task.name: task.hash for task in data.tasks}
    if data.documents is not None:
        documents = data.documents
        identity["documents"] = {"end_id": documents.end_id, "is_before": documents.is_before}
    if code := user_code(settings):
        identity["code"] = code
    if changed := numerics.numeric_code(settings):
        identity["lmlab"] = changed
    if device.policy.is_exact:
        identity["environment"] = (
            library_versions() if is_elsewhere else numeric_environment_of(device)
        )
    return identity


def numeric_environment_of(device: Device) -> dict[str, Any]:
    """Return what decides the last bits of results on a device of this machine."""
    return numeric_environment(device.device.type, device.name())


def is_same_run(meta: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    """Whether a run folder holds the run with ``identity``.

    Args:
        meta: content of its ``meta.json``.
        identity: see :func:`run_identity`.
    """
    return meta.get("identity") == as_recorded(identity, meta)


def as_recorded(identity: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``identity`` in the form in which the version that wrote ``meta`` records it.

    - Earlier versions recorded no environment, so it does not count.
    - Earlier versions recorded a hash of all files of a package. It counts for the code that is
      there now if none of these files has changed.
    - Still earlier versions recorded no code. Such a run counts as one with the code that is there
      now if this has not been modified since the run began.
    - Settings are recorded as they were typed; another spelling of the same ones counts as them.
    """
    form = dict(identity)
    existing = meta.get("identity")
    if not isinstance(existing, Mapping):
        return form
    settings = existing.get("config")
    if isinstance(settings, Mapping) and mean_the_same(form["config"], settings):
        form["config"] = settings
    recorded = existing.get("environment")
    if "environment" in form:
        if not isinstance(recorded, Mapping):
            del form["environment"]
        else:
            unknown = {key: recorded[key] for key in recorded if key not in form["environment"]}
            form["environment"] = form["environment"] | unknown
    code = existing.get("code")
    if "code" in form and code != form["code"]:
        if isinstance(code, Mapping) and all(isinstance(one, Mapping) for one in code.values()):
            if code == earlier_user_code(form["config"]):
                form["code"] = code
        elif code is None and newest_change(form["config"]) < _beginning(meta):
            del form["code"]
    return form


def earlier_forms(identity: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the identities under which earlier versions may have registered the same run."""
    plain = without_environment(identity)
    if "environment" in identity:
        yield plain
    if "code" in identity:
        yield plain | {"code": earlier_user_code(identity["config"])}
        yield {key: value for key, value in plain.items() if key != "code"}


def canonical_form(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity under which all spellings of the settings register the same run."""
    return without_environment(identity) | {"config": canonical_settings(identity["config"])}


def without_environment(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an identity without what it says of libraries, processor and variables."""
    return {key: value for key, value in identity.items() if key != "environment"}


def without_code(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an identity without what it says of code."""
    return {key: value for key, value in identity.items() if key not in CODE_KEYS}


def identity_changes(meta: Mapping[str, Any], identity: Mapping[str, Any]) -> list[str]:
    """List what tells the run of a folder from the one with ``identity``: ``key: old -> new``."""
    existing = meta.get("identity")
    if not isinstance(existing, Mapping):
        return ["identity: cannot be read -> that of this run"]
    old, new = dict(existing), as_recorded(identity, meta)
    found = [one.pop("environment", None) for one in (old, new)]
    environments = [one if isinstance(one, Mapping) else {} for one in found]
    lines = [_in_words(line) for line in differences(old, new)]
    return [*lines, *(f"environment: {line}" for line in environment_changes(*environments))]


def _in_words(line: str) -> str:
    """Name the module or file whose code differs."""
    line = re.sub(r"^code\.(version of )?", r"code of \1", line)
    if line.startswith("lmlab."):
        line = line.replace("lmlab.", "code of lmlab/", 1).replace(": None ->", ": as recorded ->")
        line = re.sub(r"-> None$", "-> as recorded", line)
    return line


def _beginning(meta: Mapping[str, Any]) -> float:
    """When the first session of a run began, in seconds since the epoch; 0 if unknown."""
    times = [str(session.get("time")) for session in sessions_of(meta)]
    try:
        return datetime.datetime.fromisoformat(times[0]).timestamp() if times else 0.0
    except ValueError:
        return 0.0
