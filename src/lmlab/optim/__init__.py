"""Optimizers, parameter groups, learning-rate schedules and clipping."""
