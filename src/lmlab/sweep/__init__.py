"""Run a sweep: find the runs that are still required, and run each in a process of its own."""
