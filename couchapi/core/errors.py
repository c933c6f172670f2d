"""What the CouchDB API answers when it cannot do what was asked.

Every such answer is `{"error": word, "reason": reason}`.

    HubError
    +-- CouchError
        +-- BadRequest 400            bad_request
        |   +-- IllegalDatabaseName   illegal_database_name
        |   |   +-- DatabaseNameTooLong   database_name_too_long
        |   +-- IllegalDocid          illegal_docid
        |   +-- DocValidation         doc_validation
        |   +-- QueryParseError       query_parse_error
        |   +-- CompilationError      compilation_error (a function of a design document)
        |   +-- FunctionFailed        function_failed
        +-- NotFound 404              not_found
        |   +-- DatabaseMissing       Database does not exist.
        +-- MethodNotAllowed 405      method_not_allowed
        +-- NotAcceptable 406         not_acceptable
        +-- Conflict 409              conflict
        +-- FileExists 412            file_exists
        +-- MissingStub 412           missing_stub
        +-- DocumentTooLarge 413      document_too_large
        +-- BodyTooLarge 413          too_large
        +-- BadContentType 415        bad_content_type
        +-- RangeNotSatisfiable 416   requested_range_not_satisfiable
        +-- ForbiddenWrite 403        forbidden (one document refused; replicators skip it)
        +-- UnauthorizedWrite 401     unauthorized (what validate_doc_update may say)
        +-- Gone 410                  gone
        +-- ContentMissing 500        content_missing
        +-- WorkerUnreachable 503     service_unavailable
        +-- StoreUnreachable 503      service_unavailable
        +-- StorageFull 507           insufficient_storage

The words and reasons are CouchDB 3.5's (design/couch-api.md, "Errors").
"""

from __future__ import annotations

from collections.abc import Sequence

from acl.core.errors import HubError


class CouchError(HubError):
    """The root of the API's errors."""


class BadRequest(CouchError):
    """The request is malformed."""

    status, word = 400, "bad_request"
    reason = "invalid UTF-8 JSON"


class IllegalDatabaseName(BadRequest):
    """A database name outside CouchDB's alphabet."""

    word = "illegal_database_name"
    reason = (
        "Only lowercase characters (a-z), digits (0-9), and any of the characters "
        "_, $, (, ), +, -, and / are allowed. Must begin with a letter."
    )


class DatabaseNameTooLong(IllegalDatabaseName):
    """A database name of more than 238 characters."""

    word = "database_name_too_long"


class IllegalDocid(BadRequest):
    """A document id that CouchDB reserves or cannot hold."""

    word = "illegal_docid"
    reason = "Only reserved document ids may start with underscore."


class DocValidation(BadRequest):
    """An `_` member that CouchDB does not know, or of the wrong type."""

    word = "doc_validation"
    reason = "Bad special document member."


class QueryParseError(BadRequest):
    """A query parameter that cannot be read."""

    word = "query_parse_error"
    reason = "Invalid value for a query parameter."


class CompilationError(BadRequest):
    """A function of a design document is not JavaScript, or is not there."""

    word = "compilation_error"
    reason = "A function of the design document cannot be compiled."


class FunctionFailed(BadRequest):
    """A function of a design document threw, or went beyond its time or memory."""

    word = "function_failed"
    reason = "A function of the design document failed."


class NotFound(CouchError):
    """The document, revision or attachment is not here: `missing` or `deleted`."""

    status, word = 404, "not_found"
    reason = "missing"


class DatabaseMissing(NotFound):
    """No such database (the words of acl's NotVisible, on purpose)."""

    reason = "Database does not exist."


class MethodNotAllowed(CouchError):
    """The route exists, the verb does not; the answer carries `Allow`."""

    status, word = 405, "method_not_allowed"

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self.allowed = tuple(allowed)
        super().__init__(f"Only {','.join(self.allowed)} allowed")


class NotAcceptable(CouchError):
    """No representation that the client accepts."""

    status, word = 406, "not_acceptable"
    reason = "Ask for application/json."


class Conflict(CouchError):
    """The write does not build on a leaf."""

    status, word = 409, "conflict"
    reason = "Document update conflict."


class Gone(CouchError):
    """A part of CouchDB's past."""

    status, word = 410, "gone"
    reason = "Temporary views are not supported in CouchDB"


class WorkerUnreachable(CouchError):
    """Work for the background cannot be handed on."""

    status, word = 503, "service_unavailable"
    reason = "The queue of the hub's worker cannot be reached. Try again later."


class ContentMissing(CouchError):
    """The bytes of an attachment are not where the hub has put them."""

    status, word = 500, "content_missing"
    reason = "The content of an attachment is missing in the hub's storage. Restore it from a copy."


class StorageFull(CouchError):
    """No room is left where the hub keeps its data."""

    status, word = 507, "insufficient_storage"
    reason = "The hub's storage is full. Delete or compact something, and try again."


class StoreUnreachable(CouchError):
    """The database server does not answer; nothing was acknowledged, and asking again is right."""

    status, word = 503, "service_unavailable"
    reason = "The hub does not reach its database now. Try again in some seconds."
    seconds = 5
    """When to ask again."""


class FileExists(CouchError):
    """The database exists already."""

    status, word = 412, "file_exists"
    reason = "The database could not be created, the file already exists."


class MissingStub(CouchError):
    """An attachment stub whose content is not here."""

    status, word = 412, "missing_stub"
    reason = "Invalid attachment stub."


class DocumentTooLarge(CouchError):
    """One document over the limit of 8,000,000 bytes."""

    status, word = 413, "document_too_large"
    reason = "The document is larger than 8000000 bytes."


class BodyTooLarge(CouchError):
    """A request body over the hub's limit."""

    status, word = 413, "too_large"
    reason = "the request entity is too large"


class BadContentType(CouchError):
    """A Content-Type that is not application/json."""

    status, word = 415, "bad_content_type"
    reason = "Content-Type must be application/json"


class RangeNotSatisfiable(CouchError):
    """A Range outside the attachment."""

    status, word = 416, "requested_range_not_satisfiable"
    reason = "Requested range not satisfiable"


class ForbiddenWrite(CouchError):
    """This one document is refused; the others of the batch are not touched."""

    status, word = 403, "forbidden"
    reason = "The write was refused."


class UnauthorizedWrite(CouchError):
    """A function of a design document wants to know better who writes."""

    status, word = 401, "unauthorized"
    reason = "You are not a server admin."
