"""Carrying out a sweep: which runs are still needed, and a process for each of them."""
