"""Kafka's access control lists: which principal may read or write which topic.

Kafka checks ACLs only with an authorizer, and refuses everything that no ACL allows if
``allow.everyone.if.no.acl.found`` is false (its default).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from streams.broker.connection import BrokerUrl
from streams.broker.topics import JOB_DELETED, OBJECT_CREATED
from streams.errors import AclsRefused, BrokerUnavailable

SUBMITTED = "image-submitted"
GROUPS = "lookstream"
"""The beginning of all group ids: ``lookstream.<stage>`` for stages, ``lookstream-…`` for the
consumers in `streams.consumers`."""

Role = Literal["producer", "gateway", "worker", "store"]
Operation = Literal["READ", "WRITE", "DESCRIBE"]


@dataclass(frozen=True)
class Acl:
    """One permission. With ``prefixed``, ``name`` is the beginning of the names of groups."""

    resource: Literal["topic", "group"]
    name: str
    operation: Operation
    prefixed: bool = False


def acls(role: Role, topics: Sequence[str], consumed: Iterable[str]) -> list[Acl]:
    """Return the permissions of a role on ``topics``; stages read those in ``consumed``.

    A producer may write `image-submitted` and nothing else. The gateway writes `image-submitted`,
    `job-deleted` and the topics in ``consumed`` (for replays), and reads all topics except
    `object-created`. A worker reads all topics and writes all except `object-created`. The store
    writes only `object-created`.
    """
    if role == "producer":
        return _writing([SUBMITTED])
    if role == "store":
        return _writing([OBJECT_CREATED])
    own = [name for name in topics if name != OBJECT_CREATED]
    groups = Acl("group", GROUPS, "READ", prefixed=True)
    if role == "gateway":
        written = {SUBMITTED, JOB_DELETED, *consumed}
        return [*_reading(own), groups, *_writing(name for name in own if name in written)]
    return [*_reading(topics), groups, *_writing(own)]


def create_acls(broker: BrokerUrl, principal: str, wanted: Sequence[Acl]) -> None:
    """Allow ``wanted`` to a principal such as ``User:shop``, from every host. Repeatable.

    Other ACLs do not change. Does nothing on the embedded broker, which has no ACLs. Raises
    `AclsRefused` if the server has no authorizer or this account may not change ACLs, and
    `BrokerUnavailable`.
    """
    if broker.embedded:
        return
    admin = AdminClient({**broker.confluent(), "log_level": 0})
    bindings = [_binding(principal, acl) for acl in wanted]
    for binding, future in admin.create_acls(bindings, request_timeout=30.0).items():
        try:
            future.result()
        except KafkaException as error:
            fault = error.args[0]
            if fault.code() in _REFUSED:
                raise AclsRefused(f"Kafka refuses to change its ACLs: {fault.str()}") from error
            raise BrokerUnavailable(f"ACL of {binding.name}: {fault.str()}") from error


_REFUSED = (
    KafkaError.SECURITY_DISABLED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)


def _reading(names: Iterable[str]) -> list[Acl]:
    return [Acl("topic", name, "READ") for name in names]


def _writing(names: Iterable[str]) -> list[Acl]:
    return [Acl("topic", name, way) for name in names for way in _WRITE]


_WRITE: tuple[Operation, ...] = ("WRITE", "DESCRIBE")


def _binding(principal: str, acl: Acl) -> AclBinding:
    return AclBinding(
        ResourceType.TOPIC if acl.resource == "topic" else ResourceType.GROUP,
        acl.name,
        ResourcePatternType.PREFIXED if acl.prefixed else ResourcePatternType.LITERAL,
        principal,
        "*",
        AclOperation[acl.operation],
        AclPermissionType.ALLOW,
    )
