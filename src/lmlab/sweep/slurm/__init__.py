"""Sweeps whose jobs run under Slurm, submitted through submitit.

:mod:`launch` prepares a sweep on the machine where the command is typed; :mod:`pool` submits its
runs as job arrays and follows them; :mod:`task` is what a job of an array runs, :mod:`drive` what
the job of a detached sweep's driver runs.
"""
