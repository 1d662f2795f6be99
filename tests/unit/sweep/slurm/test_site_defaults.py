"""``SBATCH_*`` variables choose where jobs run and who pays, if the settings do not."""

from __future__ import annotations

from lmlab.sweep.slurm.site_defaults import apply_site_defaults


def test_variables_fill_what_is_null_and_never_beat_a_setting() -> None:
    environment = {
        "SBATCH_PARTITION": "theirs", "SBATCH_ACCOUNT": "lab", "SBATCH_WCKEY": "k",
        "SBATCH_RESERVATION": "theirs", "SBATCH_TIMELIMIT": "1", "SBATCH_QOS": "",
        "SBATCH_MEM_BIND": "none", "SLURM_ACCOUNT": "x", "PATH": "/bin",
    }  # fmt: skip
    options = {"partition": "ours", "account": None, "sbatch": ["--reservation=ours"], "cpus": 2}
    filled, lines = apply_site_defaults(options, environment)
    assert filled == options | {
        "account": "lab", "sbatch": ["--reservation=ours", "--wckey=k"],
    }  # fmt: skip
    assert lines == [
        "jobs use SBATCH_ACCOUNT=lab, SBATCH_WCKEY=k from the environment",
        "ignoring SBATCH_PARTITION, SBATCH_RESERVATION, SBATCH_TIMELIMIT from the environment; "
        "settings of hydra.launcher apply",
    ]


def test_without_variables_nothing_is_printed() -> None:
    assert apply_site_defaults({"partition": None}, {"HOME": "/root"}) == ({"partition": None}, [])
