"""The server's commands: up, gateway, worker, topics, vocabulary.

`lookstream_client.cli` adds them to the command line through the entry point `lookstream.commands`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from lookstream.settings import Settings
    from streams.broker.topics import Topic

OWN_PACKAGES = ("streams", "storage", "agents", "gateway", "lookstream", "lookstream_client")
"""A missing module of these is a fault of the installation and not a missing extra."""


class AclRole(StrEnum):
    """What a Kafka user does: the roles of `streams.broker.acls`."""

    producer = "producer"
    gateway = "gateway"
    worker = "worker"
    store = "store"


Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Allow an address that other machines can reach. There is no authentication.",
    ),
]
Host = Annotated[str | None, typer.Option(help="Address to bind.")]
Port = Annotated[int | None, typer.Option(help="Port to bind; 0 chooses a free port.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (up, gateway, worker, topics, vocabulary):
        app.command()(command)


def up(
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="The data directory.")
    ] = None,
    host: Host = None,
    port: Port = None,
    insecure: Insecure = False,
) -> None:
    """Run the whole system on this machine: page, API and all stages. Ctrl-C stops it.

    The system needs only Python. Broker and stores are embedded, unless LOOKSTREAM_KAFKA,
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
    """Run only the gateway: REST API and pages, with the configured stores and broker.

    **Example**

    `LOOKSTREAM_KAFKA=kafka://kafka:9092 lookstream gateway --port 8000`
    """
    with _starting(host=host, port=port) as settings:
        from lookstream.supervisor.processes import run_gateway

        run_gateway(settings, insecure=insecure)


def worker(
    stages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STAGE]…",
            help="Default: all stages, downloading, tracking, and intake if configured.",
        ),
    ] = None,
) -> None:
    """Run stages and other processors in one process: validation, captioning, classification, pose,
    shots, thumbnailing, annotation, downloading, tracking, intake, or stages of your own.

    **Examples**

    `lookstream worker captioning pose`

    `lookstream worker tracking`
    """
    with _starting() as settings:
        from lookstream.supervisor.processes import run_worker

        run_worker(settings, stages or [])


def topics(
    create: Annotated[
        bool, typer.Option("--create", help="Create the missing topics, or with --acls the ACLs.")
    ] = False,
    acls: Annotated[
        str | None,
        typer.Option(
            metavar="PRINCIPAL", help="List the ACLs that this Kafka user needs, such as User:shop."
        ),
    ] = None,
    role: Annotated[
        AclRole, typer.Option(help="With --acls: what the Kafka user does.")
    ] = AclRole.producer,
) -> None:
    """List the topics of the system; with `--create`, create them on Apache Kafka.

    With `--acls`, list the ACLs (permissions) that a Kafka user needs for its `--role`; with
    `--create`, apply them.

    **Examples**

    `LOOKSTREAM_KAFKA=kafka://localhost:9092 lookstream topics --create`

    `lookstream topics --acls User:shop`

    `lookstream topics --acls User:pose --role worker --create`
    """
    with _starting() as settings:
        if acls is not None:
            _access(settings, acls if ":" in acls else f"User:{acls}", role, create)
            return
        from lookstream.wiring.gateway import topic_plan
        from streams.broker.connection import BrokerUrl
        from streams.broker.topics import create_topics

        plan = topic_plan(settings)
        made = create_topics(BrokerUrl.parse(settings.kafka), plan) if create else []
        _show_topics(plan, made)


def _access(settings: Settings, principal: str, role: AclRole, create: bool) -> None:
    """Print the ACLs of a principal, one a line; with ``create``, apply them first."""
    from lookstream_client.display import table, terminal

    from lookstream.wiring.gateway import acl_plan
    from streams.broker.acls import create_acls
    from streams.broker.connection import BrokerUrl

    if not principal.partition(":")[2].strip():
        raise typer.BadParameter("name a Kafka user, such as User:shop", param_hint="--acls")
    plan = acl_plan(settings, role.value)
    if create:
        create_acls(BrokerUrl.parse(settings.kafka), principal, plan)
    made = table("principal", "may", "resource", "name", "")
    for acl in plan:
        name = f"{acl.name}*" if acl.prefixed else acl.name
        new = "created" if create else ""
        made.add_row(principal, acl.operation, acl.resource, name, new)
    terminal().print(made)


def _show_topics(topics: Sequence[Topic], created: Sequence[str]) -> None:
    """Print the topics of the system; mark the topics that were just created."""
    from lookstream_client.display import table, terminal

    made = table("topic", "partitions", "kept", "")
    for topic in topics:
        kept = "newest per key" if topic.compacted else f"{topic.retention_days} days"
        new = "created" if topic.name in created else ""
        made.add_row(topic.name, str(topic.partitions), kept, new)
    terminal().print(made)


def vocabulary(
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Check this file, and print no words.")
    ] = None,
) -> None:
    """Print all words of the networks as a vocabulary file, or check your own file.

    **Examples**

    `lookstream vocabulary > words.yaml`

    `lookstream vocabulary --check words.yaml`
    """
    with _starting() as settings:
        from lookstream.wiring.vocabulary import every_word, open_vocabulary

        if check is None:
            typer.echo(every_word(settings), nl=False)
            return
        open_vocabulary(settings.model_copy(update={"vocabulary": str(check)}))
        typer.echo(f"{check} is valid. Use it with LOOKSTREAM_VOCABULARY={check}")


@contextmanager
def _starting(**options: Any) -> Iterator[Any]:
    """Yield the settings. Print what prevents the start in one line, and exit with 2."""
    from lookstream_client.errors import LookstreamError
    from pydantic import ValidationError

    from lookstream import telemetry as logs
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
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in OWN_PACKAGES:
            raise
        typer.echo(
            f"lookstream: {error.name} is not installed: pip install 'lookstream[all]'", err=True
        )
        raise typer.Exit(2) from None
