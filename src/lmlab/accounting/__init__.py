"""Costs of a model, counted without torch: parameters, FLOPs, memory, disk and time."""
