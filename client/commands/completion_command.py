"""The verb `completion`: what a shell has to read for TAB to work.

Runs in: the user's shell.
"""

import typer

from client.commands import choices, completion
from client.terminal import output as terminal

app = typer.Typer()


@app.command(
    "completion",
    rich_help_panel="This machine",
    epilog='\nExamples:\n  eval "$(steno completion bash)"      in ~/.bashrc\n'
    '  eval "$(steno completion zsh)"       in ~/.zshrc, after compinit\n'
    "  steno completion fish | source       in ~/.config/fish/config.fish",
)
def show_completion(shell: choices.Shell) -> None:
    """Print what makes TAB complete verbs, flags, job numbers, folders and languages in your shell."""
    terminal.print_line(completion.script(shell), keep="\n")
