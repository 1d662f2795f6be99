"""One configuration becomes one run folder."""
