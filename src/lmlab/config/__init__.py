"""The configuration: composed by Hydra, typed by dataclasses, checked once.

No other package below the commands imports hydra or omegaconf. Imports no torch.

**The tree.** :mod:`run_config` defines it; :mod:`compose` composes, checks and freezes it.
:mod:`schema` and :mod:`resolvers` describe it to Hydra. :mod:`config_loader` and
:mod:`config_source` change how Hydra merges and reads the files; :mod:`interpolation` resolves
their values. :mod:`paths`, :mod:`user_settings` and :mod:`yaml_files` find and read files.

**The command line** of ``python -m lmlab.train``, in the order of use. :mod:`hydra_app` is the
program. :mod:`command_flags` reads the options with :mod:`hydra_parser`, and
:mod:`override_file` the files of ``--config``. :mod:`group_selection`, :mod:`open_mappings` and
:mod:`zip_arguments` rewrite overrides to Hydra's grammar. :mod:`hydra_program` runs a single run
or multiruns, whose jobs :mod:`sweep_axes` expands. :mod:`hydra_settings` checks what is below
``hydra``, :mod:`job_hooks` surrounds each job, and :mod:`hydra_errors` explains Hydra's errors.

**Checks.** :mod:`slot_targets` says which classes and functions a component may name, and
:mod:`target_validation` checks components against their signatures: :mod:`signatures`, found by
:mod:`source_lookup` and :mod:`keyword_forwarding`, with values that :mod:`value_types` compares.
:mod:`shared_parameters` are those of every option of a group, which lmlab reads itself.
:mod:`rules` checks ranges and relations, :mod:`schedule_settings` those of a schedule, and
:mod:`rank_batch` those of a batch on several ranks. :mod:`unknown_settings` suggests what was
meant. :mod:`auto_width` is the default of ``d_ff``.

**Names.** :mod:`arm_name` names a run, :mod:`identity_settings` says which settings change its
result, and compares them with those of a run folder. :mod:`deprecated_keys` and
:mod:`renamed_targets` read configurations of earlier versions. :mod:`reference` prints the
reference of all settings.
"""
