"""Resolve a configuration, and build the objects of a run from it."""
