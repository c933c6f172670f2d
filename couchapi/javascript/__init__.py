"""Running the functions of design documents: map, reduce, filters, validate_doc_update.

They come from whoever may write the database, so they run in processes of their own (`child`)
which have nothing but the documents they are given.  Two design documents never share globals,
and neither do two databases with the same design document.  Each call has a time and a memory
(HUB_JS_SECONDS, HUB_JS_MEMORY); a document whose function goes beyond is told apart, and the
others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import orjson

from couchapi.core.errors import (
    CompilationError,
    CouchError,
    ForbiddenWrite,
    FunctionFailed,
    UnauthorizedWrite,
)
from couchapi.javascript import engine
from couchapi.javascript.engine import Answer, Program, Worker, close

__all__ = [
    "CompilationError",
    "Emitted",
    "Failure",
    "FunctionFailed",
    "Program",
    "close",
    "filter_by_view",
    "filter_documents",
    "map_documents",
    "reduce",
    "rereduce",
    "validate",
]

T = TypeVar("T")

_DOCUMENTS = "\x1e"
_VIEWS = "\x1d"
_PARTS = "\x1f"
_THREW = "\x18"
_BATCH = 200
_BATCH_BYTES = 1_000_000
_MOST_OUTPUT = 4_000_000
"""Letters that the views may emit before what they emitted has to be stored."""


_STOPPED = {
    "timeout": "It ran longer than it may.",
    "hung": "It ran longer than it may.",
    "memory": "It used more memory than it may.",
    "crash": "It crashed the engine.",
}


class Failure(NamedTuple):
    """Why a document has no rows; `kind` is exception, timeout, hung, memory or crash."""

    kind: str
    message: str


class Emitted(list[list[tuple[bytes, bytes]]]):
    """What a document's views emitted, in the order of their names; `failure` is the last throw."""

    failure: Failure | None = None


async def map_documents(program: Program, documents: Sequence[bytes]) -> list[Emitted | Failure]:
    """Run every map function on every document, and return for each what each view emitted.

    A document whose functions run out of time or memory is a Failure; a function that throws has
    no rows, as in CouchDB.  Documents at the end are left out where those before them emitted
    very much: ask again for these.  Raises CompilationError when any function cannot be compiled.
    """
    mapped: list[Emitted | Failure] = []
    size = 0
    for batch in _batches(documents):
        texts = await _run(partial(_each, program=program, name="map", head=b"", documents=batch))
        mapped += [one if isinstance(one, Failure) else _emitted(one) for one in texts]
        size += _length(texts)
        if size >= _MOST_OUTPUT:
            break
    return mapped


async def reduce(program: Program, view: str, rows: Sequence[tuple[bytes, str, bytes]]) -> bytes:
    """Return what a view's reduce function makes of rows (key, docid, value).

    Raises CompilationError, FunctionFailed.
    """
    pairs = b",".join([b"[%s,%s]" % (key, orjson.dumps(docid)) for key, docid, _ in rows])
    values = b",".join([value for _, _, value in rows])
    return await _reduced(program, view, b"[%s]" % pairs, b"[%s]" % values, b"0")


async def rereduce(program: Program, view: str, values: Sequence[bytes]) -> bytes:
    """Return what a view's reduce function makes of its own earlier results."""
    return await _reduced(program, view, b"null", b"[%s]" % b",".join(values), b"1")


async def filter_documents(
    program: Program, name: str, documents: Sequence[bytes], request: bytes
) -> list[bool]:
    """Return which documents pass `filters.<name>`.

    Raises CompilationError, FunctionFailed.
    """
    return await _filtered(program, "filter", [name.encode(), request], documents)


async def filter_by_view(program: Program, view: str, documents: Sequence[bytes]) -> list[bool]:
    """Return for which documents the map function of `view` emits anything."""
    return await _filtered(program, "filterByView", [view.encode()], documents)


async def validate(
    program: Program,
    documents: Sequence[tuple[bytes, bytes | None]],
    user_ctx: bytes,
    sec_obj: bytes,
) -> list[CouchError | None]:
    """Ask `validate_doc_update` of each document whether it may take the place of another.

    Returns None for yes, else ForbiddenWrite or UnauthorizedWrite with the reason that it gives,
    or FunctionFailed when it throws anything else.  Raises CompilationError.
    """
    head = _joined([user_ctx, sec_obj, b""])
    pairs = [new + _VIEWS.encode() + (old or b"null") for new, old in documents]
    judged: list[CouchError | None] = []
    for batch in _batches(pairs):
        call = partial(_each, program=program, name="validate", head=head, documents=batch)
        judged += [_refusal(one) for one in await _run(call)]
    return judged


def _refusal(result: str | Failure) -> CouchError | None:
    if isinstance(result, Failure):
        return FunctionFailed(result.message)
    if not result:
        return None
    word, reason = orjson.loads(result)
    kinds = {"forbidden": ForbiddenWrite, "unauthorized": UnauthorizedWrite}
    return kinds.get(word, FunctionFailed)(reason)


async def _run(job: Callable[[Worker], T]) -> T:
    result: T = await asyncio.wrap_future(engine.run(job))
    return result


async def _reduced(
    program: Program, view: str, pairs: bytes, values: bytes, rereduce: bytes
) -> bytes:
    text = _joined([view.encode(), pairs, values, rereduce])
    answer = _checked(await _run(lambda worker: worker.call(program, "reduce", text)))
    return answer.text.encode()


async def _filtered(
    program: Program, name: str, given: Sequence[bytes], documents: Sequence[bytes]
) -> list[bool]:
    passed: list[bool] = []
    head = _joined([*given, b""])
    for batch in _batches(documents):
        texts = await _run(partial(_each, program=program, name=name, head=head, documents=batch))
        for one in texts:
            if isinstance(one, Failure):
                raise FunctionFailed(one.message)
            passed.append(one == "1")
    return passed


def _batches(documents: Sequence[bytes]) -> list[list[bytes]]:
    """Cut documents into batches that a context has room for."""
    batches: list[list[bytes]] = []
    size = _BATCH_BYTES
    for document in documents:
        if size + len(document) > _BATCH_BYTES or len(batches[-1]) >= _BATCH:
            batches.append([])
            size = 0
        batches[-1].append(document)
        size += len(document)
    return batches


def _each(
    worker: Worker, program: Program, name: str, head: bytes, documents: Sequence[bytes]
) -> list[str | Failure]:
    """Return what a call makes of each document; one that cannot be done is a Failure.

    Ends early when there is very much of it.
    Raises what `_checked` raises for a call that did not get as far as a document.
    """
    results: list[str | Failure] = []
    while (left := documents[len(results) :]) and _length(results) < _MOST_OUTPUT:
        answer = worker.call(program, name, head + _joined(left))
        if answer.kind in ("", "timeout", "memory"):
            results += _done(answer, len(left))
        elif answer.kind not in _STOPPED:
            _checked(answer)
        elif len(left) > 1:  # Only smaller batches can tell which one it was.
            for part in (left[: len(left) // 2], left[len(left) // 2 :]):
                done = _each(worker, program, name, head, part)
                results += done
                if len(done) < len(part):
                    break
            return results
        else:
            results.append(Failure(answer.kind, _STOPPED[answer.kind]))
    return results


def _length(results: Sequence[str | Failure]) -> int:
    return sum([len(one) for one in results if isinstance(one, str)])


def _done(answer: Answer, asked: int) -> list[str | Failure]:
    """Return what was done, and the Failure of the document at which a call was cut off."""
    if not answer.kind:
        done = answer.text.split(_DOCUMENTS)
        if len(done) != asked:
            raise FunctionFailed("The functions of the design document disturb their engine.")
        return [*done]
    kept = answer.text.split(_DOCUMENTS)[: answer.at] if answer.at else []
    return [*kept, Failure(answer.kind, _STOPPED[answer.kind])]


def _checked(answer: Answer) -> Answer:
    """Return the answer; raises CompilationError, FunctionFailed."""
    if answer.kind == "compilation":
        raise CompilationError(answer.message)
    if answer.kind:
        raise FunctionFailed(_STOPPED.get(answer.kind, answer.message))
    return answer


def _emitted(text: str) -> Emitted:
    """Read what the views emitted for one document."""
    emitted = Emitted()
    for rows in text.split(_VIEWS):
        if rows.startswith(_THREW):
            emitted.failure = Failure("exception", rows[1:])
            emitted.append([])
            continue
        parts = [part.encode() for part in rows.split(_PARTS)] if rows else []
        emitted.append(list(zip(parts[::2], parts[1::2], strict=True)))
    return emitted


def _joined(texts: Sequence[bytes]) -> bytes:
    return _DOCUMENTS.encode().join(texts)
