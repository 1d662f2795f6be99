"""Tasks: what a language model can do, measured on items with a known answer.

:mod:`task` defines what a task is and what it returns; :mod:`scorer` computes log-likelihoods of
continuations for all tasks. :mod:`task_file` reads items from JSON lines, and :mod:`choice_task`,
:mod:`cloze_task` and :mod:`text_task` score them.
"""
