"""Hydra plugins that hand multiruns over to :mod:`lmlab.sweep`."""
