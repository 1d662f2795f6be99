"""Studies continue by the rules under which they were started, before there was a choice."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from lmlab.design.confirmation import AUTO, NEVER
from lmlab.design.manifest import Manifest
from lmlab.study.sweep_folder import SweepFolder


def keep_earlier_rules(manifest: Manifest, output_root: Path) -> Manifest:
    """Return the manifest, without confirmed rates if the same study was started without them.

    Otherwise, the same command would start another sweep beside an unfinished one. A message says
    so. A command that sets ``design.confirm_rate`` itself gets what it sets.

    Args:
        manifest: the study that is about to start.
        output_root: folder of the studies.
    """
    design = manifest.comparison
    if design is None or design.confirm_rate != AUTO or "confirm_rate" in manifest.command:
        return manifest
    earlier = dataclasses.replace(
        manifest, comparison=dataclasses.replace(design, confirm_rate=NEVER)
    )
    started = SweepFolder.of(earlier, output_root)
    if not started.exists or SweepFolder.of(manifest, output_root).exists:
        return manifest
    print(
        f"{manifest.study}: started without confirmed learning rates, and continues so; "
        f"design.confirm_rate={AUTO} starts it anew with the same runs",
        file=sys.stderr,
    )
    return earlier
