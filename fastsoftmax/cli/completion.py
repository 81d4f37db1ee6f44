"""Print a script that lets a shell complete commands, options and their values.

bash: eval "$(fastsoftmax completion bash)" in ~/.bashrc. zsh: the same with zsh in ~/.zshrc, after
compinit. fish: fastsoftmax completion fish > ~/.config/fish/completions/fastsoftmax.fish
"""

import argparse
import shlex
from typing import NamedTuple

SHELLS = ("bash", "zsh", "fish")
FILES = ("FILE", "MODEL", "PATH")  # metavars of what is completed as a file
FOLDERS = ("DIR",)


class Option(NamedTuple):
    """An option or a positional argument of a command."""

    flags: tuple[str, ...]  # none: positional
    values: tuple[str, ...]  # what it may be, where that is a list
    kind: str  # "none": it takes no value; "file", "folder", "text", "choice"
    help: str


def add_arguments(parser):
    """Declare the argument of `fastsoftmax completion`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell that reads the script")


def run(args):
    """Print the script."""
    commands = {name: options_of(parser) for name, parser in args.parsers.items()}
    print({"bash": bash, "zsh": zsh, "fish": fish}[args.shell](commands), end="")


def options_of(parser):
    """Return the Options of a parser."""
    return [_option(action) for action in parser._actions if action.help != argparse.SUPPRESS]


def _option(action):
    values = tuple(str(choice) for choice in action.choices or ())
    if action.option_strings and action.nargs == 0:
        kind = "none"
    elif values:
        kind = "choice"
    elif action.metavar in FILES:
        kind = "file"
    else:
        kind = "folder" if action.metavar in FOLDERS else "text"
    text = " ".join((action.help or "").split()).replace("%%", "%")
    return Option(tuple(action.option_strings), values, kind, text)


def bash(commands):
    """Return the script for bash."""
    cases = "\n".join(
        f"        {name})\n"
        f'            options="{_joined(flag for one in options for flag in one.flags)}"\n'
        f'            case "$previous" in\n{_bash_values(options)}            esac\n'
        f"{_bash_positional(options)}            ;;"
        for name, options in commands.items()
    )
    return f"""\
_fastsoftmax() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" options=""
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{_joined(commands)} --help --version" -- "$word"))
        return
    fi
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    if [[ "$word" == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$word"))
    fi
}}
complete -o bashdefault -F _fastsoftmax fastsoftmax
"""


def _bash_values(options):
    replies = {
        "file": 'COMPREPLY=($(compgen -f -- "$word")); compopt -o filenames; return',
        "folder": 'COMPREPLY=($(compgen -d -- "$word")); compopt -o filenames; return',
        "text": "return",
    }
    lines = ""
    for one in options:
        if one.flags and one.kind != "none":
            words = f'COMPREPLY=($(compgen -W "{_joined(one.values)}" -- "$word")); return'
            lines += f"                {'|'.join(one.flags)}) {replies.get(one.kind, words)} ;;\n"
    return lines


def _bash_positional(options):
    """Return the line that completes what stands without an option: files, or a list."""
    positional = [one for one in options if not one.flags]
    if not positional:
        return ""
    if positional[0].kind == "choice":
        reply = f'COMPREPLY=($(compgen -W "{_joined(positional[0].values)}" -- "$word"))'
    else:
        reply = 'COMPREPLY=($(compgen -f -- "$word")); compopt -o filenames'
    return f'            if [[ "$word" != -* ]]; then {reply}; return; fi\n'


def zsh(commands):
    """Return the script for zsh."""
    cases = "\n".join(
        f"        {name})\n            _arguments \\\n"
        + " \\\n".join(f"                {line}" for one in options for line in _zsh_lines(one))
        + "\n            ;;"
        for name, options in commands.items()
    )
    return f"""\
_fastsoftmax() {{
    if (( CURRENT == 2 )); then
        compadd -- {_joined(commands)} --help --version
        return
    fi
    local command=$words[2]
    words=("${{(@)words[2,-1]}}")
    (( CURRENT-- ))
    case "$command" in
{cases}
    esac
}}
compdef _fastsoftmax fastsoftmax
"""


def _zsh_lines(option):
    value = {
        "file": ":file:_files",
        "folder": ":folder:_files -/",
        "text": ":value:",
        "choice": f":value:({_joined(option.values)})",
        "none": "",
    }[option.kind]
    if not option.flags:
        return [shlex.quote(f"*{value}")]
    told = option.help.translate({ord(mark): f"\\{mark}" for mark in "[]:\\"})
    return [shlex.quote(f"{flag}[{told}]{value}") for flag in option.flags]


def fish(commands):
    """Return the script for fish."""
    lines = ["complete -c fastsoftmax -f"]
    first = "complete -c fastsoftmax -n __fish_use_subcommand"
    lines += [f"{first} -a {name}" for name in commands] + [
        f"{first} -l help",
        f"{first} -l version",
    ]
    for name, options in commands.items():
        within = f'complete -c fastsoftmax -n "__fish_seen_subcommand_from {name}"'
        for one in options:
            flags = " ".join(
                f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
                for flag in one.flags
            )
            value = {
                "file": "-rF",
                "folder": '-x -a "(__fish_complete_directories)"',
                "text": "-x",
                "choice": f"-x -a {shlex.quote(_joined(one.values))}",
                "none": "",
            }[one.kind]
            if not one.flags:
                value = value.replace("-x ", "").replace("-rF", "-F")
            told = f"-d {shlex.quote(one.help)}"
            lines.append(" ".join(word for word in (within, flags, value, told) if word))
    return "\n".join(lines) + "\n"


def _joined(words):
    return " ".join(words)
