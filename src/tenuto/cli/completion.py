"""``tenuto completion``: the script that completes commands and options in a shell."""

import click
from click.shell_completion import get_completion_class

from tenuto.cli import terminal

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    r"""Print the script that completes words in a shell.

    \b
    bash  tenuto completion bash > ~/.local/share/bash-completion/completions/tenuto
    zsh   put into ~/.zshrc:  source <(tenuto completion zsh)
    fish  tenuto completion fish > ~/.config/fish/completions/tenuto.fish
    """
    made = get_completion_class(shell)
    assert made is not None, "click knows these shells"
    script = made(click.get_current_context().find_root().command, {}, "tenuto", _VARIABLE)
    terminal.say(script.source_template % script.source_vars())


_VARIABLE = "_TENUTO_COMPLETE"
