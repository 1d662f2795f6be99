"""``python -m lmlab.outputs``: list the runs and caches on disk, and remove some of them."""
