"""The tables of the CouchDB server.

A document is one row with its revision tree; the bodies of its revisions are rows of their own,
so that listing changes never touches them.  Bodies are JSON text without `_` members, in bytes:
they are spliced into answers as they are (design/performance.md, "Storage").
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


def _reference(to: type[models.Model], **options: Any) -> models.ForeignKey[Any, Any]:
    """Return a foreign key that costs no look-up: only the stores write these rows.

    The unique constraints begin with the same column, so an index of its own is not needed.
    """
    options.setdefault("db_index", False)
    return models.ForeignKey(to, models.DO_NOTHING, db_constraint=False, **options)


class RowId(models.BigAutoField):
    """A primary key that counts on from the largest one.

    Django's own asks SQLite to remember, in a table more, which numbers were once used.
    """

    def db_type_suffix(self, connection: BaseDatabaseWrapper) -> str | None:
        """Return what follows the type in CREATE TABLE."""
        return None if connection.vendor == "sqlite" else super().db_type_suffix(connection)


class Database(models.Model):
    """A named set of documents with a change counter of its own."""

    class Policy(models.TextChoices):
        """What becomes of conflicts (design/conflicts.md)."""

        LWW = "lww", "Last writer wins"
        COUCH = "couch", "As CouchDB: conflicts stay"

    name = models.CharField(max_length=238, unique=True)
    conflict_policy = models.CharField(max_length=8, choices=Policy, default=Policy.LWW)
    update_seq = models.BigIntegerField(default=0)
    purge_seq = models.BigIntegerField(default=0)
    design_seq = models.BigIntegerField(
        default=0, help_text="The update_seq of the last change to a design document."
    )
    epochs = models.TextField(help_text="JSON: [[epoch, the first sequence number of it], …]")
    revs_limit = models.PositiveIntegerField(default=1000)
    purged_infos_limit = models.PositiveIntegerField(default=1000)
    doc_count = models.BigIntegerField(default=0)
    doc_del_count = models.BigIntegerField(default=0)
    body_size = models.BigIntegerField(default=0, help_text="Bytes of bodies and attachments.")
    security = models.TextField(default="{}", help_text="What _security was given, beyond ACLs.")
    dropped = models.BooleanField(
        default=False, help_text="Deleted; its rows go in the background."
    )
    local_only = models.BooleanField(
        default=False, help_text="Not kept in step with the owner's other devices."
    )
    quota = models.BigIntegerField(null=True, help_text="The most bytes of it; empty: any.")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Document(models.Model):
    """One document: its revision tree, and what lists of documents need of the winner."""

    id = RowId(primary_key=True)
    database = _reference(Database)
    docid = models.TextField()
    seq = models.BigIntegerField()
    rev = models.TextField(help_text="The winner.")
    deleted = models.BooleanField()
    leaf_count = models.PositiveIntegerField(default=1)
    decided_leaves = models.PositiveIntegerField(
        null=True, help_text="How many leaves there were when the owner found it right so."
    )
    tree = models.BinaryField()
    due = models.BigIntegerField(
        null=True, help_text="When a held stamp is due, in Unix milliseconds (rule R4)."
    )

    resolved_from = models.BigIntegerField(
        default=0, help_text="Start of the hour of resolver_count, in Unix milliseconds (rule R10)."
    )
    resolver_count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["database", "docid"], name="document_by_docid")
        ]
        indexes = [
            # All that a row of _changes shows: the table itself is not read.
            models.Index(
                fields=["database", "seq", "docid", "rev", "deleted", "leaf_count"],
                name="document_by_seq",
            ),
            models.Index(
                fields=["due"], condition=models.Q(due__isnull=False), name="document_by_due"
            ),
            # The few of which several versions have met, for the page that shows them.
            models.Index(
                fields=["database", "seq"],
                condition=models.Q(leaf_count__gt=1),
                name="document_by_meeting",
            ),
        ]

    def __str__(self) -> str:
        return self.docid


class Revision(models.Model):
    """The body of one revision."""

    id = RowId(primary_key=True)
    document = _reference(Document)
    rev = models.TextField()
    body = models.BinaryField()
    attachments = models.BinaryField(null=True, help_text="JSON: name to its Attached record.")
    share = models.BigIntegerField(null=True, help_text="Whose share it takes; null: the owner's.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["document", "rev"], name="revision_by_rev")]

    def __str__(self) -> str:
        return self.rev


class Blob(models.Model):
    """The content of an attachment; `document` is null while it is being uploaded."""

    document = _reference(Document, null=True, db_index=True)
    file = models.TextField(default="", help_text="Its name; empty for a content in rows.")
    uploader = models.TextField(default="", help_text="Key of the principal that sent it.")
    length = models.BigIntegerField(default=0, help_text="Bytes as stored, once it is adopted.")
    created_at = models.BigIntegerField(help_text="Unix seconds; 0 if it is to be removed.")

    def __str__(self) -> str:
        return f"{self.pk} ({self.length} bytes)"


class BlobChunk(models.Model):
    """A piece of a blob that has no file: an attachment is never whole in memory."""

    id = RowId(primary_key=True)
    blob = _reference(Blob)
    position = models.BigIntegerField(help_text="Offset of the first byte.")
    content = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["blob", "position"], name="chunk_by_position")
        ]

    def __str__(self) -> str:
        return f"{self.blob_id}@{self.position}"


class Share(models.Model):
    """What somebody other than the owner has put here, and how much that may be."""

    key = models.TextField(unique=True, help_text="Of the principal.")
    size = models.BigIntegerField(default=0, help_text="Bytes of bodies and attachments.")
    quota = models.BigIntegerField(null=True, help_text="The most that it may be; empty: any.")

    def __str__(self) -> str:
        return self.key


class Measure(models.Model):
    """What a database took when it was measured last, in bytes."""

    database = _reference(Database)
    seq = models.BigIntegerField(help_text="The update_seq of then.")
    measured_at = models.BigIntegerField(help_text="Unix seconds.")
    documents = models.BigIntegerField(help_text="Bodies that somebody can still ask for.")
    old_bodies = models.BigIntegerField(help_text="Bodies of revisions that others followed.")
    attachments = models.BigIntegerField()
    old_attachments = models.BigIntegerField(help_text="Those that only old revisions have.")
    history = models.BigIntegerField(help_text="Revision trees.")
    indexes = models.BigIntegerField()
    local_documents = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["database"], name="measure_by_database")]

    def __str__(self) -> str:
        return f"{self.database_id} at {self.seq}"


class Work(models.Model):
    """Long work on a database that goes on now: how far it is, and whether it is to end."""

    kind = models.TextField()
    database = _reference(Database)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(help_text="Of what is done; some of it may come on the way.")
    started_at = models.BigIntegerField(help_text="Unix seconds.")
    seen_at = models.BigIntegerField(help_text="When it was last heard of, in Unix seconds.")
    cancelled = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["database", "kind"], name="work_by_kind")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.database_id}"


class LocalDocument(models.Model):
    """A document that is not replicated.

    Each principal has a namespace: nobody sees another's checkpoints (design/access-control.md).
    """

    database = _reference(Database)
    owner = models.TextField(help_text="Key of the principal; empty for the owner of the hub.")
    docid = models.TextField()
    rev = models.BigIntegerField()
    body = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["database", "owner", "docid"], name="local_by_docid")
        ]

    def __str__(self) -> str:
        return self.docid


class Purge(models.Model):
    """One purge request that was carried out."""

    database = _reference(Database)
    seq = models.BigIntegerField()
    uuid = models.CharField(max_length=64)
    docid = models.TextField()
    revs = models.TextField(help_text="JSON: the purged revisions.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["database", "uuid"], name="purge_by_uuid"),
            models.UniqueConstraint(fields=["database", "seq"], name="purge_by_seq"),
        ]

    def __str__(self) -> str:
        return f"{self.docid} ({self.uuid})"


class Index(models.Model):
    """What was made of a database's documents for one group of views, or one Mango index.

    Groups that are alike share it: the signature stands for all that its rows depend on.
    """

    database = _reference(Database)
    signature = models.TextField()
    language = models.TextField(help_text="javascript, or query for Mango.")
    seq = models.BigIntegerField(default=0, help_text="The update_seq that it is built to.")
    purge_seq = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0, help_text="Bytes of keys and values.")
    last_error = models.TextField(
        default="", help_text="JSON: the last document that could not be mapped, and why."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["database", "signature"], name="index_by_signature")
        ]

    def __str__(self) -> str:
        return self.signature


class IndexRow(models.Model):
    """One row of a view.  They lie in the order of keys, so that a range is read as it lies."""

    pk = models.CompositePrimaryKey("index", "view", "sortkey", "docid", "n")
    index = _reference(Index)
    view = models.IntegerField(help_text="Which of the index's views.")
    sortkey = models.BinaryField(help_text="core/sortkey.py")
    docid = models.TextField()
    n = models.IntegerField(help_text="Which of the rows that the document has in this view.")
    key = models.BinaryField(help_text="JSON")
    value = models.BinaryField(help_text="JSON")

    class Meta:
        indexes = [models.Index(fields=["index", "docid"], name="indexrow_by_docid")]

    def __str__(self) -> str:
        return self.docid


class Segment(models.Model):
    """Some hundred neighbouring rows of a view: from this position to that of the next segment.

    What is kept of them, their number and what reduce functions make of them, spares reading
    them.  The first segment of a view begins below all keys.
    """

    id = RowId(primary_key=True)
    index = _reference(Index)
    view = models.IntegerField()
    sortkey = models.BinaryField()
    docid = models.TextField()
    n = models.IntegerField()
    row_count = models.IntegerField()
    seq = models.BigIntegerField(help_text="The index's, when a row here changed last.")
    reductions = models.BinaryField(null=True, help_text="JSON: of each reduce function.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["index", "view", "sortkey", "docid", "n"], name="segment_by_start"
            )
        ]

    def __str__(self) -> str:
        return f"{self.row_count} rows"


class DatabaseEvent(models.Model):
    """The last event of each database: what _db_updates shows."""

    name = models.CharField(max_length=238, unique=True)
    seq = models.BigIntegerField(unique=True)
    kind = models.CharField(max_length=8)

    def __str__(self) -> str:
        return f"{self.name} {self.kind}"
