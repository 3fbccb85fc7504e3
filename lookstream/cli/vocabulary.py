"""The operator's command: vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(vocabulary)


def vocabulary(
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Check this file instead of writing one.")
    ] = None,
) -> None:
    """Write every word of the networks as a file to begin your own from, or check yours.

    **Examples**

    `lookstream vocabulary > words.yaml`

    `lookstream vocabulary --check words.yaml`
    """
    from lookstream.errors import CannotStart
    from lookstream.settings import Settings
    from lookstream.wiring.vocabulary import every_word, open_vocabulary

    settings = Settings()
    try:
        if check is None:
            typer.echo(every_word(settings), nl=False)
            return
        open_vocabulary(settings.model_copy(update={"vocabulary": str(check)}))
    except CannotStart as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{check} can be used: LOOKSTREAM_VOCABULARY={check}")
