"""A job's state as listeners are told it: short, and the same from the broker and the store."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field

from gateway.event_ids import JobMark
from gateway.models import Failure, Shape
from storage.jobs import FINAL, Job, JobStatus
from streams.events import JobUpdated


class JobEvent(Shape):
    """The data of an event ``job``. A stage that has not run yet is not in ``stages``."""

    job_id: str
    status: JobStatus
    run: int = Field(description="how often it has been processed, from 1")
    revision: int = Field(description="grows with every change; a lower one is older news")
    group: str | None
    updated_at: datetime
    stages: dict[str, str]
    error: Failure | None = Field(default=None, exclude_if=lambda error: error is None)

    @classmethod
    def heard(cls, update: JobUpdated) -> Self:
        """Make one of what the broker says."""
        told = update.model_dump(include=set(cls.model_fields))
        return cls.model_validate(told)

    @classmethod
    def read(cls, job: Job) -> Self:
        """Make one of what the store says."""
        return cls(
            job_id=job.job_id,
            status=job.status,
            run=job.run,
            revision=job.revision,
            group=job.group,
            updated_at=job.updated_at,
            stages={name: state.status for name, state in job.stages.items()},
            error=Failure.model_validate(job.error, from_attributes=True) if job.error else None,
        )

    @property
    def mark(self) -> JobMark:
        """Which state of the job this is."""
        return JobMark(self.run, self.revision)

    @property
    def final(self) -> bool:
        """Nothing comes after it, unless the job is run again."""
        return self.status in FINAL
