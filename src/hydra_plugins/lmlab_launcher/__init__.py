"""Hydra's way to lmlab's multiruns; thin, the work is in :mod:`lmlab.sweep`."""
