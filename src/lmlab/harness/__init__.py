"""Models of lmlab in lm-evaluation-harness."""
