"""Run sweeps as job arrays of Slurm, submitted through submitit.

:mod:`slurm_launch` prepares a sweep on the machine of the command. :mod:`slurm_executor` submits
its runs as job arrays and follows them. :mod:`array_job` is the program of each job of an array,
:mod:`detached_driver` that of the job which drives a detached sweep, and :mod:`requeue` decides
when a job goes back into the queue.
"""
