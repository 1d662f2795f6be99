"""``lmlab completion bash``: the shell completes commands, groups, options and keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from lmlab.config.paths import conf_folder
from lmlab.config.reference import groups, rows_of
from lmlab.config.user_settings import search_path
from lmlab.console.command_line import Command, CommandGroup
from lmlab.console.commands import COMMANDS, import_command
from lmlab.console.options import argument, one_of
from lmlab.console.stdout import run_main
from lmlab.errors import UserError

# Candidates are full words; if the shell has split the word at "=", only the rest is returned.
_SCRIPT = """\
_lmlab_complete() {
    local line="${COMP_LINE:0:$COMP_POINT}" program="${COMP_WORDS[0]}"
    COMPREPLY=()
    local ask=("$program" -m lmlab.completion)
    if [ "${program##*/}" = lmlab ]; then ask=("$program" completion); else
        case "$line" in *" -m "*) ;; *) return ;; esac
    fi
    local word="${line##* }" candidate
    while IFS= read -r candidate; do
        case "$word" in *=*) case "$COMP_WORDBREAKS" in *=*) candidate="${candidate#*=}" ;; esac ;; esac
        COMPREPLY+=("$candidate")
    done < <("${ask[@]}" words "$line" 2>/dev/null)
}
complete -o nospace -o default -F _lmlab_complete python python3 lmlab
"""  # noqa: E501 -- shell


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command."""

    shell: str = argument(metavar="SHELL", valid=one_of("bash", "zsh"), help="your shell")


def print_script(options: Options) -> None:
    """Print the script of a shell."""
    zsh = "autoload -U +X bashcompinit && bashcompinit\n" if options.shell == "zsh" else ""
    print(zsh + _SCRIPT, end="")


def candidates(line: str) -> list[str]:
    """List the words that can replace the last word of ``line``; none where files can."""
    *before, word = line.split(" ")
    if before and before[0].rpartition("/")[2] == "lmlab":
        if len(before) == 1:
            return [f"{name} " for name in COMMANDS if name.startswith(word)]
        name, typed = before[1], before[2:]
    else:
        modules = [index for index, one in enumerate(before) if one.startswith("lmlab.")]
        if not modules:
            names = sorted(f"lmlab.{name} " for name in COMMANDS)
            return [one for one in names if one.startswith(word) and before[-1:] == ["-m"]]
        name = before[modules[0]].removeprefix("lmlab.")
        typed = before[modules[0] + 1 :]
    if name == "train":
        return sorted(one for one in _settings(word) if one.startswith(word))
    if name not in COMMANDS or "=" in word:
        return []
    return sorted(one for one in _arguments(import_command(name).COMMAND, typed, word)
                  if one.startswith(word))  # fmt: skip


def _arguments(
    command: Command[object] | CommandGroup, typed: list[str], word: str
) -> Iterator[str]:
    """Yield subcommands, and options as ``key=`` or, once dashes are typed, as ``--key``."""
    if isinstance(command, CommandGroup):
        name = next((one for one in typed if one in command.commands), None)
        if name is None:
            yield from (f"{one} " for one in command.commands)
            if command.default is None:
                return
        command = command.commands[name or command.default or ""]
    for option in command.named():
        if word.startswith("-"):
            yield f"{option.name} "
        elif not option.is_flag:
            yield f"{option.key}="


def _settings(word: str) -> Iterator[str]:
    """Yield groups and keys, and the options of a group once its name and ``=`` are typed."""
    key, equals, _ = word.partition("=")
    folders = [conf_folder(), *search_path()]
    for group in groups():
        dotted = group.replace("/", ".")
        if not equals:
            yield f"{dotted}="
        elif key in (dotted, group):
            for folder in folders:
                yield from (f"{key}={path.stem} " for path in (folder / group).glob("*.yaml"))
    if equals:
        return
    for name, _, _ in rows_of(conf_folder() / "train.yaml"):
        yield f"{name}="
    for path in conf_folder().rglob("*.yaml"):
        group = str(path.parent.relative_to(conf_folder())).replace("/", ".")
        if path.parent != conf_folder() and not group.startswith(("experiment", "scale")):
            is_global = path.read_text("utf-8").startswith("# @package _global_")
            yield from (
                f"{name if is_global else f'{group}.{name}'}=" for name, _, _ in rows_of(path)
            )


COMMAND = Command(
    name="completion",
    options=Options,
    act=print_script,
    description="Print a script that enables tab completion of lmlab's commands and settings.",
    notes="""\
To enable completion in this shell:

  eval "$(lmlab completion bash)"

To enable it in every new shell, add the line above to ~/.bashrc. For zsh, replace bash with zsh,
and add the line to ~/.zshrc.
""",
    examples=["bash", "zsh"],
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    if argv[:1] == ["words"] and len(argv) == 2:  # called by the script
        try:
            print("\n".join(dict.fromkeys(candidates(argv[1]))))
        except UserError:  # a mistake in the user's settings, which the command itself reports
            return 2
        return 0
    return COMMAND.run(argv)


if __name__ == "__main__":
    run_main(main)
