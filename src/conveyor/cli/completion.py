"""`conveyor completion`: a shell's completion script."""

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog="""\b
Examples:
  eval "$(conveyor completion bash)"                            (in ~/.bashrc)
  eval "$(conveyor completion zsh)"                             (in ~/.zshrc)
  conveyor completion fish > ~/.config/fish/completions/conveyor.fish
"""
)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.BadParameter(f"no completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "conveyor", "_CONVEYOR_COMPLETE").source())
