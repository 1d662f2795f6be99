"""Train several runs as one stacked model in one process; only the passes are shared."""
