"""Predict and check the time, memory and disk space of a run, and compare with the actual ones."""
