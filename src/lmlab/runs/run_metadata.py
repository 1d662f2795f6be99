"""Write what a run folder records at the start of a session."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.build.factory import build_host_batches
from lmlab.build.identity import (
    canonical_form,
    numeric_environment_of,
    without_environment,
)
from lmlab.build.user_code import user_code
from lmlab.config.compose import settings_to_yaml
from lmlab.nn.transformer import Transformer
from lmlab.run_folder import REUSED_KEY
from lmlab.runs.context import RunContext
from lmlab.runs.run_register import register
from lmlab.runs.source_lines import describe_sources
from lmlab.runtime.provenance import provenance
from lmlab.storage.io import atomic_write_text

log = logging.getLogger(__name__)

FORMAT_VERSION = 1


def write_metadata(
    context: RunContext,
    model: Transformer,
    *,
    from_step: int,
    from_seconds: float,
    stack_size: int,
) -> None:
    """Write ``config.yaml``, ``tokenizer/`` and ``meta.json``, and register the run.

    Args:
        context: of the run.
        model: of the run.
        from_step: number of updates that the session starts from.
        from_seconds: training time of these updates.
        stack_size: number of runs that train as one, this one included.
    """
    folder, data, device = context.folder, context.data, context.device
    session = provenance() | {
        "device": device.name(), "ranks": context.comm.size,
        "parallel": context.comm.parallel, "stacked": stack_size, "from_step": from_step,
        "from_seconds": round(from_seconds, 3),
        "packages": user_code(context.spec.settings),
        "environment": numeric_environment_of(device),
    }  # fmt: skip
    meta = folder.meta()
    sessions = [*meta.get("sessions", []), session]
    settings = context.spec.settings
    batches = build_host_batches(context.spec, data)
    sources = batches.source_facts(context.spec.workload.steps)
    for line in describe_sources(sources):
        log.info("%s", line)
    folder.annotate(settings.get("notes"), settings.get("tags") or None)
    atomic_write_text(folder.config, settings_to_yaml(settings))
    data.tokenizer.save(folder.tokenizer)
    folder.write_meta(
        {key: meta[key] for key in (REUSED_KEY,) if key in meta}
        | {
            "format_version": FORMAT_VERSION,
            "run": folder.key(context.identity),
            "identity": context.identity,
            # A branch that resumes from its own checkpoint names its trunk no longer.
            "parent": context.spec.parent or (meta.get("parent") if from_step > 0 else None),
            "corpus": data.corpus.name,
            "train_tokens": data.train.num_tokens,
            "valid_tokens": data.valid.num_tokens,
            "valid_text_bytes": data.valid.text_bytes(data.tokenizer),
            "num_parameters": model.num_parameters(),
            "forward_flops_per_token": model.forward_flops_per_token(),
            "floor": data.floor(),
            "probes": data.probes.facts(),
            **({"sources": sources} if sources else {}),
            "policy": device.policy.as_dict(),
            "sessions": sessions,
        }
        | ({"origin": data.corpus.origin} if data.corpus.origin else {})
    )
    forms = without_environment(context.identity), canonical_form(context.identity)
    register(context.spec.output_root, folder, context.identity, *forms)


def ranks_of_updates(sessions: Sequence[Mapping[str, Any]], step: int) -> set[int]:
    """Return the numbers of ranks that computed the first ``step`` updates of a run.

    A session whose updates were all computed again, because it saved none of them, does not count.

    Args:
        sessions: entries of ``meta.json``, oldest first.
        step: number of updates.
    """
    found = set()
    for session in reversed(sessions):
        first = session.get("from_step", 0)  # sessions of earlier builds do not record it
        if first < step:
            found.add(session.get("ranks", 1))
            step = first
    return found
