"""lmlab: language-model experiments whose verdicts can be trusted.

Importing the package is cheap: torch, wandb and Hydra are loaded only by the parts that need them.
"""

from __future__ import annotations

__version__ = "0.1.0"
