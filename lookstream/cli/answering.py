"""How commands answer: JSON on stdout, what went wrong in one line, exit codes for scripts.

0    all went well
1    a photo was refused, or a job has failed
2    wrong usage, no such job, the gateway says no or nobody answers
130  Ctrl-C
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import typer

FAILED, UNREACHABLE, INTERRUPTED = 1, 2, 130

T = TypeVar("T")


@contextmanager
def failing_politely() -> Iterator[None]:
    """Say in one line what went wrong, and exit with 2."""
    from lookstream.errors import LookstreamError

    try:
        yield
    except (LookstreamError, OSError) as error:
        complain(error)
        raise typer.Exit(UNREACHABLE) from None


def for_each(job_ids: Sequence[str], act: Callable[[str], T]) -> tuple[list[T], bool]:
    """Act on each job, whatever happened to the others; return what came, and if all went well.

    A gateway that does not answer ends it.
    """
    from lookstream.errors import RequestRefused

    done, well = [], True
    for job_id in job_ids:
        try:
            done.append(act(job_id))
        except RequestRefused as refusal:
            complain(refusal)
            well = False
    return done, well


def complain(error: Exception) -> None:
    """Say on stderr what went wrong."""
    typer.echo(f"lookstream: {error}", err=True)


def print_json(document: Any) -> None:
    """Print a document for people and programs."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write(os.linesep)


def print_line(document: Any) -> None:
    """Print a document as one line of a stream, at once."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + os.linesep)
    sys.stdout.flush()
