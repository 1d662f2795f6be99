"""``python -m lmlab.judge``: a stream of ideas against a standing baseline, and its ledger."""
