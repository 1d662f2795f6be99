"""The runs of a study that other studies trained, and what that means for its evidence."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from lmlab.study.run_records import Study

# Of a study all of whose runs another one trained.
SAME_RUNS = (
    "another analysis of the same runs, not independent evidence. It uses the seeds that it "
    "declares, so a mean may differ from one over other seeds there. The margin and the "
    "probability of false verdicts are declared for this study; they do not cover other "
    "comparisons of these runs."
)


def reused_runs(study: Study) -> dict[str, int]:
    """Return how many runs of each other study this one reuses."""
    folder = study.folder.resolve()
    own = {study.name, folder.parents[1].name if folder.parent.name == "sweeps" else folder.name}
    owners = (_owner(record.folder) for record in study.records)
    return dict(sorted(Counter(name for name in owners if name not in own).items()))


def _owner(folder: str) -> str:
    """Return the study to whose folder a run belongs: ``<study>/<arm>/seed<k>``."""
    parts = Path(folder).parts
    return parts[0] if not Path(folder).is_absolute() else str(Path(folder).parents[1])


def margin_origin(study: Study) -> str:
    """State when the margin was chosen, as far as the runs tell: before them, or after some."""
    reused = sum(reused_runs(study).values())
    if not reused:
        return "chosen before the study"
    if reused < len(study.records):
        return "declared by this study, which reuses runs that existed before it"
    return "declared by this study, whose runs existed before it: it reuses those of other studies"
