"""``python -m lmlab.outputs``: list the runs and caches on disk, remove what is not needed."""
