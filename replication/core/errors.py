"""What can go wrong with a replication, and whether another try may help.

    ReplicationError
    +-- Retryable             the other side, or the way to it, may be better later
    +-- Fatal                 a person has to do something first
        +-- SourceMissing
        +-- TargetMissing
        +-- NotAllowed
        +-- Refused           the request means nothing to the other side
        +-- BadJob            400
        +-- NoSuchJob         404

A docstring is the text that the person reads.
"""

from __future__ import annotations

from acl.core.errors import HubError


class ReplicationError(HubError):
    """The databases could not be brought in step."""

    status = 500
    word = "replication_failed"

    def __init_subclass__(cls) -> None:
        """Take the reason from the docstring."""
        cls.reason = " ".join((cls.__doc__ or "").split())


class Retryable(ReplicationError):
    """The other hub does not answer as it should just now. It is tried again by itself."""

    def __init__(self, reason: str | None = None, *, after: float | None = None) -> None:
        """`after`: seconds that the other side asks us to wait."""
        self.after = after
        super().__init__(reason)


class Fatal(ReplicationError):
    """This cannot work as it is."""


class SourceMissing(Fatal):
    """There is no such database at the source, or you may not read it. Ask its owner."""

    status = 404
    word = "db_not_found"


class TargetMissing(Fatal):
    """There is no such database at the target. Make it first, or ask for it to be made."""

    status = 404
    word = "db_not_found"


class NotAllowed(Fatal):
    """The other hub does not let you do this any more. Ask its owner to share the database."""

    status = 403
    word = "forbidden"


class Refused(Fatal):
    """The other side does not understand what it was asked."""


class BadJob(Fatal):
    """This is not a job that the hub can do."""

    status = 400
    word = "bad_request"


class NoSuchJob(Fatal):
    """There is no such job. See them with: manage.py job list"""

    status = 404
    word = "not_found"
