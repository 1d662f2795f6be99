"""The names under which scores of probes are recorded, for commands that start without numpy."""

from __future__ import annotations

GROUP = "probes"  # the probe "plots" records its scores under "probes/plots"
SCORES = ("accuracy", "margin", "kl")
