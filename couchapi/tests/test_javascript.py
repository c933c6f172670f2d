"""The sandbox: what functions of design documents can do, and what they cannot."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from couchapi import javascript
from couchapi.core.errors import (
    CompilationError,
    ForbiddenWrite,
    FunctionFailed,
    UnauthorizedWrite,
)
from couchapi.javascript import Emitted, Failure, Program, engine


@pytest.fixture
def impatient(settings: Any) -> Iterator[None]:
    """Give functions a third of a second and 16 MB; children of other limits are not used."""
    javascript.close()
    settings.HUB_JS_SECONDS = 0.3
    settings.HUB_JS_MEMORY = 16 * 1024**2
    engine._command.cache_clear()
    yield
    javascript.close()
    engine._command.cache_clear()


def views(*maps: str, isolation: str = "db", **members: Any) -> Program:
    """Return a program with views called a, b, c…"""
    named = {chr(97 + at): {"map": text} for at, text in enumerate(maps)}
    return Program(isolation, orjson.dumps({"views": named, **members}))


async def mapped(program: Program, *documents: Any) -> list[Any]:
    """Return what is emitted for each document, as JSON values."""
    texts = [orjson.dumps(document) for document in documents]
    return [
        one if isinstance(one, Failure) else [[_pair(row) for row in rows] for rows in one]
        for one in await javascript.map_documents(program, texts)
    ]


def _pair(row: tuple[bytes, bytes]) -> tuple[Any, Any]:
    return orjson.loads(row[0]), orjson.loads(row[1])


async def emitted(source: str, document: Any = None) -> Any:
    """Return what one function emits for one document."""
    ((rows,),) = await mapped(views(source), document or {"_id": "d"})
    return rows


async def failure(source: str) -> Failure | None:
    """Return why one function has no rows."""
    (one,) = await javascript.map_documents(views(source), [b'{"_id":"d"}'])
    return one if isinstance(one, Failure) else one.failure


# -- what functions find ---------------------------------------------------------------------------


async def test_every_view_maps_every_document() -> None:
    program = views("function(doc) { emit(doc._id, 1); emit(2); }", "doc => emit([doc.n], doc)")
    first, second = await mapped(program, {"_id": "x", "n": 1}, {"_id": "y", "n": None})
    assert first == [[("x", 1), (2, None)], [([1], {"_id": "x", "n": 1})]]
    assert second == [[("y", 1), (2, None)], [([None], {"_id": "y", "n": None})]]


@pytest.mark.parametrize(
    "source",
    [
        "function(doc) { emit(1) }",
        "function (doc) { emit(1) };",
        "function named(doc) { emit(1) } ; // and more",
        "\n// before\nfunction(doc) { emit(1) }\n",
        "/* before */ (doc) => { emit(1) }",
        "(function(doc) { emit(1) })",
    ],
)
async def test_a_function_may_be_written_in_many_ways(source: str) -> None:
    assert await emitted(source) == [(1, None)]


@pytest.mark.parametrize("source", ["function(doc) {", "5", "", "function(doc) { emit( }", "}{"])
async def test_what_is_no_function_does_not_compile(source: str) -> None:
    with pytest.raises(CompilationError):
        await emitted(source)


@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**50), 2**50)
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(
                    lambda name: name != "__proto__"
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_values_go_through_unchanged(value: Any) -> None:
    rows = asyncio.run(emitted("doc => emit(doc.v, [doc.v])", {"_id": "d", "v": value}))
    assert rows == [(value, [value])]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("undefined", None),
        ("NaN", None),
        ("function() {}", None),
        ("[undefined, 1/0]", [None, None]),
        ("new Date('2020-02-03T04:05:06Z')", "2020-02-03T04:05:06.000Z"),
        ("'\\ud83d'", "�"),
        ("'\\\\ud83d'", "\\ud83d"),
        ("{toJSON: () => 'x'}", "x"),
        ("sum([1, 2, 3])", 6),
        ("isArray([])", True),
        ("toJSON({a: 1})", '{"a":1}'),
        ("'\\u0000\\u001e\\u001f\\u001d\\u0018'", "\0\x1e\x1f\x1d\x18"),
    ],
)
async def test_what_is_emitted_is_json(expression: str, value: Any) -> None:
    assert await emitted(f"doc => emit({expression})") == [(value, None)]


@pytest.mark.parametrize("views_of_it", [1, 2])
async def test_long_texts_come_whole(views_of_it: int) -> None:
    long = "x" * 100_000
    (rows,) = await mapped(views(*["doc => emit(doc.s, doc.s)"] * views_of_it), {"s": long})
    assert rows == [[(long, long)]] * views_of_it
    found = await failure("doc => { throw {why: 'y'.repeat(2000)} }")
    assert found is not None
    assert found.message.startswith('{"why":"yyy')
    program = design(filters={"f": "doc => { throw {why: 'y'.repeat(2000)} }"})
    with pytest.raises(FunctionFailed, match="yyy"):
        await javascript.filter_documents(program, "f", [b"{}"], b"{}")


async def test_a_document_cannot_be_changed_for_the_next_view() -> None:
    change = "function(doc) { doc.n = 2; doc.deep.x = 3; delete doc._id; emit(doc.n) }"
    seen = "doc => emit(doc._id, [doc.n, doc.deep.x])"
    (views_of_it,) = await mapped(views(change, seen), {"_id": "d", "n": 1, "deep": {"x": 1}})
    assert views_of_it == [[(1, None)], [("d", [1, 1])]]


async def test_modules_are_required_from_the_design_document() -> None:
    lib = {"a": "exports.x = require('./deep/b').y + 1", "deep": {"b": "exports.y = 41"}}
    design = {"views": {"lib": lib, "v": {"map": "doc => emit(require('views/lib/a').x)"}}}
    program = Program("db", orjson.dumps(design))
    assert await mapped(program, {"_id": "d"}) == [[[(42, None)]]]


@pytest.mark.parametrize(
    "path", ["views/lib/none", "../../etc/passwd", "constructor", "a/__proto__"]
)
async def test_a_module_is_nothing_but_a_text_of_the_design_document(path: str) -> None:
    found = await failure(f"doc => emit(require({path!r}))")
    assert found == Failure("exception", f"Error: invalid_require_path {path}")


async def test_modules_may_require_each_other() -> None:
    lib = {
        "a": "exports.n = 1; exports.b = require('views/lib/b')",
        "b": "exports.m = require('views/lib/a').n",
    }
    design = {"views": {"lib": lib, "v": {"map": "doc => emit(require('views/lib/a').b.m)"}}}
    assert await mapped(Program("db", orjson.dumps(design)), {"_id": "d"}) == [[[(1, None)]]]


# -- functions that fail ---------------------------------------------------------------------------


async def test_a_function_that_throws_has_no_rows_and_others_have_theirs() -> None:
    throwing = "function(doc) { emit(1); if (doc.n === 2) throw {no: 'rows'}; }"
    program = views(throwing, "doc => emit(doc.n)")
    texts = [b'{"_id":"1","n":1}', b'{"_id":"2","n":2}', b'{"_id":"3","n":3}']
    first, second, third = await javascript.map_documents(program, texts)
    assert isinstance(second, Emitted)
    assert second == [[], [(b"2", b"null")]]
    assert second.failure == Failure("exception", '{"no":"rows"}')
    assert first == [[(b"1", b"null")], [(b"1", b"null")]]
    assert isinstance(third, Emitted)
    assert third.failure is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("doc => { while (true); }", "timeout", "longer"),
        ("doc => { try { while (true); } catch (e) {} }", "timeout", "longer"),
        ("doc => /(a+)+$/.test('a'.repeat(40) + 'b')", "timeout", "longer"),
        ("doc => emit({toJSON() { while (true); }})", "timeout", "longer"),
        ("doc => emit({get x() { while (true); }})", "timeout", "longer"),
        ("doc => { for (;;) emit(1); }", "", ""),
        ("doc => { let a = []; while (true) a.push(new Array(1000).fill(1)); }", "", ""),
        ("doc => { let s = 'x'; while (true) s += s; }", "", ""),
        ("doc => 'x'.repeat(1e9)", "exception", "out of memory"),
        ("doc => new ArrayBuffer(1e10)", "exception", ""),
        ("function f(doc) { f(doc); }", "exception", "call stack"),
        ("doc => { let a = []; a[0] = a; emit(a); }", "exception", "circular"),
        ("doc => JSON.parse('['.repeat(1e5))", "exception", ""),
        ("doc => { throw null; }", "exception", "null"),
        (
            "doc => { throw {toString() { throw 1; }, toJSON() { throw 2; }}; }",
            "exception",
            "shown",
        ),
    ],
)
async def test_a_runaway_document_is_told_apart(
    impatient: None, source: str, kind: str, message: str
) -> None:
    program = views(f"doc => {{ if (doc.n === 3) {{ ({source})(doc); }} emit(doc.n); }}")
    texts = [orjson.dumps({"_id": str(n), "n": n}) for n in range(6)]
    results = await javascript.map_documents(program, texts)
    odd = results.pop(3)
    found = odd if isinstance(odd, Failure) else odd.failure
    assert found is not None
    assert (found.kind == kind) if kind else found.kind in ("timeout", "memory", "exception")
    assert message in found.message
    assert results == [[[(str(n).encode(), b"null")]] for n in (0, 1, 2, 4, 5)]


@pytest.mark.slow
async def test_a_function_that_runs_away_while_it_is_made_stops_nothing_else(
    impatient: None,
) -> None:
    program = views("(() => { while (true); })()")
    (one,) = await javascript.map_documents(program, [b'{"_id":"d"}'])
    assert isinstance(one, Failure)
    assert one.kind == "timeout"
    assert await emitted("doc => emit(1)") == [(1, None)]


# -- the walls -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [
        "typeof process",
        "typeof globalThis.std + typeof globalThis.os",
        "typeof Deno + typeof Bun",
        "typeof fetch + typeof XMLHttpRequest + typeof WebSocket",
        "typeof setTimeout + typeof setInterval",
        "typeof performance + typeof Atomics + typeof SharedArrayBuffer",
        "typeof Worker + typeof WebAssembly",
        "typeof print + typeof load + typeof scriptArgs",
        "typeof __host",
    ],
)
async def test_there_is_no_way_out(expression: str) -> None:
    names = expression.count("typeof")
    assert await emitted(f"doc => emit({expression})") == [("undefined" * names, None)]


@pytest.mark.parametrize(
    "source",
    [
        "doc => emit(this.constructor.constructor('return process')())",
        "doc => emit((0, eval)('require')('fs'))",
        "doc => emit(Function('return require(\"fs\")')())",
        "doc => emit(emit.constructor('return process')())",
    ],
)
async def test_constructors_lead_nowhere(source: str) -> None:
    found = await failure(source)
    assert found is not None
    assert found.kind == "exception"


async def test_an_import_has_nothing_to_import() -> None:
    source = "doc => { import('std').then(m => emit('in'), e => emit('out')); emit(1); }"
    assert await emitted(source) == [(1, None)]
    assert await emitted("doc => emit(2)") == [(2, None)]


async def test_time_stands_still_during_a_call_and_has_no_parts_of_a_second() -> None:
    source = """function(doc) {
        var begun = Date.now(), n = 0;
        while (n < 200000) n++;
        emit(Date.now() - begun, [begun % 1000, new Date() - begun,
             new Date().constructor === Date, typeof Object.getPrototypeOf(Date.prototype).now]);
    }"""
    assert await emitted(source) == [(0, [0, 0, True, "undefined"])]


async def test_chance_is_the_same_for_every_build() -> None:
    source = "doc => emit(Math.random())"
    assert await mapped(views(source, isolation="1"), {}) == await mapped(
        views(source, isolation="2"), {}
    )


@pytest.mark.parametrize("other", ["isolation", "design"])
async def test_globals_are_shared_with_nobody(other: str) -> None:
    source = "function(doc) { counted = (globalThis.counted || 0) + 1; emit(counted); }"
    program = views(source, isolation=other)
    assert await mapped(program, {}, {}) == [[[(1, None)]], [[(2, None)]]]
    if other == "isolation":
        program = views(source, isolation="second")
    else:
        program = views(source, isolation=other, language="javascript")
    assert await mapped(program, {}) == [[[(1, None)]]]


async def test_a_polluted_prototype_stays_in_its_design_document() -> None:
    polluting = """function(doc) {
        Object.prototype.leak = 'x'; Array.prototype.map = JSON.stringify = null;
        Array.prototype.join = () => 'joined'; emit(1);
    }"""
    await mapped(views(polluting, isolation="bad"), {})
    seen = "doc => emit([typeof {}.leak, typeof [].map, JSON.stringify([1])])"
    good = views(seen, isolation="good")
    assert await mapped(good, {}) == [[[(["undefined", "function", "[1]"], None)]]]


async def test_many_design_documents_share_a_child_and_forget_nothing_they_need() -> None:
    programs = [views(f"doc => emit({n})", isolation=str(n)) for n in range(30)]
    for _ in range(2):
        for n, program in enumerate(programs):
            assert await mapped(program, {}) == [[[(n, None)]]]


def child_process() -> psutil.Process:
    """Return one of the engine's children."""
    names = (one for one in psutil.Process().children() if "child.py" in " ".join(one.cmdline()))
    return next(names)


async def test_the_process_has_nothing_to_read_or_write() -> None:
    await emitted("doc => emit(1)")
    child = child_process()
    assert child.environ() == {}
    assert child.cwd() == "/"
    descriptors = {path.name for path in Path(f"/proc/{child.pid}/fd").iterdir()}
    assert descriptors == {"0", "1", "2"}
    limits = Path(f"/proc/{child.pid}/limits").read_text()
    for name in ("Max open files", "Max file size", "Max processes", "Max core file size"):
        (line,) = (line for line in limits.splitlines() if line.startswith(name))
        assert int(line.removeprefix(name).split()[0]) <= 3
    assert "NoNewPrivs:\t1" in Path(f"/proc/{child.pid}/status").read_text()


async def test_a_child_that_is_killed_is_replaced_and_the_call_is_done() -> None:
    await asyncio.gather(*(emitted(f"doc => emit({n})") for n in range(4)))
    child = child_process()
    slow = "function(doc) { var n = 0; while (n < 3000000) n++; emit(n); }"
    call = asyncio.create_task(emitted(slow))
    await asyncio.sleep(0)
    os.kill(child.pid, signal.SIGKILL)
    assert await call == [(3000000, None)]


@pytest.mark.slow
async def test_a_caller_that_goes_away_harms_nobody(impatient: None) -> None:
    calls = [asyncio.create_task(emitted("doc => { while (true); }")) for _ in range(4)]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert await emitted("doc => emit(1)") == [(1, None)]


async def test_functions_that_disturb_their_engine_disturb_nobody_else() -> None:
    source = """function(doc) {
        String.prototype.split = String.prototype.slice = Object.keys = Array.isArray = null;
        emit(1);
    }"""
    assert await mapped(views(source), {}, {}) == [[[(1, None)]], [[(1, None)]]]


async def test_an_answer_of_another_number_of_documents_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = engine.Answer("", "", "1\x1fnull")
    monkeypatch.setattr(engine.Worker, "call", lambda *_: short)
    with pytest.raises(FunctionFailed, match="disturb"):
        await mapped(views("doc => emit(1)"), {}, {})


# -- the other functions ---------------------------------------------------------------------------


def design(**members: Any) -> Program:
    """Return a program of these members of a design document."""
    return Program("db", orjson.dumps(members))


async def test_a_reduce_function_gets_keys_with_ids_and_then_its_own_results() -> None:
    source = "function(keys, values, rereduce) { return [keys, values, rereduce]; }"
    program = design(views={"v": {"map": "doc => 0", "reduce": source}})
    rows = [(b'"k"', "d1", b"1"), (b"[2]", "d2", b'{"a":2}')]
    assert orjson.loads(await javascript.reduce(program, "v", rows)) == [
        [["k", "d1"], [[2], "d2"]],
        [1, {"a": 2}],
        False,
    ]
    assert orjson.loads(await javascript.rereduce(program, "v", [b"1", b"2"])) == [
        None,
        [1, 2],
        True,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("source", ["function() { throw 'no'; }", "() => { while (true); }"])
async def test_a_reduce_function_that_fails_is_an_error(impatient: None, source: str) -> None:
    program = design(views={"v": {"map": "doc => 0", "reduce": source}})
    with pytest.raises(FunctionFailed):
        await javascript.reduce(program, "v", [(b"1", "d", b"1")])


async def test_a_filter_sees_document_and_request() -> None:
    program = design(filters={"f": "function(doc, req) { return doc.n > req.query.least; }"})
    texts = [b'{"n":1}', b'{"n":5}']
    assert await javascript.filter_documents(program, "f", texts, b'{"query":{"least":3}}') == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("name", "error"),
    [("none", CompilationError), ("bad", CompilationError), ("throws", FunctionFailed)],
)
async def test_a_filter_that_is_missing_or_fails_is_an_error(
    name: str, error: type[Exception]
) -> None:
    program = design(filters={"bad": "function(", "throws": "() => { throw 'no'; }"})
    with pytest.raises(error):
        await javascript.filter_documents(program, name, [b"{}"], b"{}")


async def test_a_view_can_be_a_filter() -> None:
    program = design(views={"v": {"map": "doc => { if (doc.n) emit(doc.n); if (doc.x) throw 1; }"}})
    texts = [b'{"n":1}', b'{"n":0}', b'{"n":1,"x":1}']
    assert await javascript.filter_by_view(program, "v", texts) == [True, False, False]


@pytest.mark.parametrize(
    ("thrown", "error", "reason"),
    [
        ("{forbidden: 'not so'}", ForbiddenWrite, "not so"),
        ("{unauthorized: 'who?'}", UnauthorizedWrite, "who?"),
        ("{forbidden: {a: 1}}", ForbiddenWrite, '{"a":1}'),
        ("new Error('broken')", FunctionFailed, "Error: broken"),
        ("'text'", FunctionFailed, "text"),
        ("null", FunctionFailed, "null"),
    ],
)
async def test_a_validation_refuses_by_what_it_throws(
    thrown: str, error: type[Any], reason: str
) -> None:
    source = f"function(doc) {{ if (doc.bad) throw {thrown}; }}"
    texts = [(b"{}", None), (b'{"bad":1}', b"{}"), (b"{}", None)]
    program = design(validate_doc_update=source)
    first, second, third = await javascript.validate(program, texts, b"{}", b"{}")
    assert first is None
    assert third is None
    assert type(second) is error
    assert second.reason == reason


async def test_a_validation_sees_both_documents_the_user_and_the_security_object() -> None:
    source = (
        "function(fresh, old, user, sec) { throw {forbidden: toJSON([fresh, old, user, sec])}; }"
    )
    program = design(validate_doc_update=source)
    given = [(b'{"a":1}', b'{"a":0}'), (b'{"b":1}', None)]
    first, second = await javascript.validate(program, given, b'{"name":"x"}', b'{"admins":{}}')
    assert first is not None
    assert second is not None
    seen = {"name": "x"}, {"admins": {}}
    assert orjson.loads(first.reason) == [{"a": 1}, {"a": 0}, *seen]
    assert orjson.loads(second.reason) == [{"b": 1}, None, *seen]


async def test_a_validation_that_cannot_be_compiled_is_an_error() -> None:
    with pytest.raises(CompilationError):
        await javascript.validate(
            design(validate_doc_update="function("), [(b"{}", None)], b"{}", b"{}"
        )


async def test_what_is_logged_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await emitted("doc => { for (let n = 0; n < 1000; n++) log('x'.repeat(10000)); emit(1); }")
    lines = [record.getMessage() for record in caplog.records if "xxx" in record.getMessage()]
    assert 0 < len(lines) <= 20
    assert all(len(line) < 600 for line in lines)
