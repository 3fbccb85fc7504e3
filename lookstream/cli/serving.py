"""The commands that run the system: up, gateway, worker, topics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

Insecure = Annotated[
    bool, typer.Option("--insecure", help="Bind beyond this machine without authentication.")
]
Host = Annotated[str | None, typer.Option(help="Address to bind.")]
Port = Annotated[int | None, typer.Option(help="Port to bind; 0 takes a free one.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (up, gateway, worker, topics):
        app.command()(command)


def up(
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Where everything is kept.")
    ] = None,
    host: Host = None,
    port: Port = None,
    insecure: Insecure = False,
) -> None:
    """Run everything on this machine: page, API, and all agents. Ctrl-C stops it.

    Nothing but Python is needed: broker and stores are embedded, unless LOOKSTREAM_KAFKA,
    LOOKSTREAM_ARTIFACTS and LOOKSTREAM_JOBS name others.

    **Examples**

    `lookstream up`

    `lookstream up --data ~/photos/lookstream --port 9000`
    """
    with _starting(home=data, host=host, port=port) as settings:
        from lookstream.supervisor.up import up as run

        run(
            settings,
            insecure=insecure,
            ready=lambda url: typer.echo(f"Lookstream is ready: {url}  (Ctrl-C stops it)"),
        )


def gateway(host: Host = None, port: Port = None, insecure: Insecure = False) -> None:
    """Run the gateway alone: REST API and page, on the stores and the broker that are set.

    **Example**

    `LOOKSTREAM_KAFKA=kafka://kafka:9092 lookstream gateway --port 8000`
    """
    with _starting(host=host, port=port) as settings:
        from lookstream.supervisor.processes import run_gateway

        run_gateway(settings, insecure=insecure)


def worker(
    stages: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STAGE]…", help="Which; all, and tracking, when none is named."),
    ] = None,
) -> None:
    """Run agents: any of validation, captioning, classification, pose, shots, thumbnailing,
    annotation, tracking and intake, in one process.

    **Examples**

    `lookstream worker captioning pose`

    `lookstream worker tracking`
    """
    with _starting() as settings:
        from lookstream.supervisor.processes import run_worker

        run_worker(settings, stages or [])


def topics(
    create: Annotated[bool, typer.Option("--create", help="Create what is missing.")] = False,
) -> None:
    """List the topics that the system uses, and create them on Apache Kafka.

    **Example**

    `LOOKSTREAM_KAFKA=kafka://localhost:9092 lookstream topics --create`
    """
    with _starting() as settings:
        from rich.console import Console

        from lookstream.cli.tables import show_topics
        from lookstream.wiring.gateway import topic_plan
        from streams.broker.connection import BrokerUrl
        from streams.broker.topics import create_topics

        plan = topic_plan(settings)
        made = create_topics(BrokerUrl.parse(settings.kafka), plan) if create else []
        show_topics(Console(), plan, made)


@contextmanager
def _starting(**options: Any) -> Iterator[Any]:
    """Yield the settings; say in one line what keeps a process from starting, and exit with 2."""
    from pydantic import ValidationError

    from lookstream import telemetry as logs
    from lookstream.errors import LookstreamError
    from lookstream.settings import Settings
    from lookstream.wiring.gateway import resolved
    from storage.errors import StorageError
    from streams.errors import StreamError

    try:
        given = {name: value for name, value in options.items() if value is not None}
        settings = Settings(**given)
        logs.configure(settings.log_level, settings.log_format)
        yield settings if settings.kafka == "embedded://" else resolved(settings)
    except ValidationError as error:
        for fault in error.errors():
            name = str(fault["loc"][0])
            variable = Settings.variable(name) if name in Settings.model_fields else name
            typer.echo(f"lookstream: {variable}: {fault['msg']}", err=True)
        raise typer.Exit(2) from None
    except (LookstreamError, StorageError, StreamError) as error:
        typer.echo(f"lookstream: {error}", err=True)
        raise typer.Exit(2) from None
