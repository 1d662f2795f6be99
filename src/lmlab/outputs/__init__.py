"""``python -m lmlab.outputs``: list the runs and caches on disk, compare runs, and remove some."""
