"""What the hub writes about itself: lines for people or JSON for programs, without secrets.

Everybody logs by Python's `logging`; structlog makes the lines.  Each passes `redaction` before it
is written anywhere.  They go to the terminal and, as JSON, to a bounded file in the data folder,
which the page of the log reads and the support bundle takes.
"""

from __future__ import annotations

import logging
import secrets
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

import structlog
from structlog.typing import EventDict, WrappedLogger

from thalihub.logs import redaction

FILE: Final = "hub.log"
_request: ContextVar[str] = ContextVar("request", default="")


class _NoContents(logging.Filter):
    """Keeps out of the file what functions of design documents say: it may be of documents.

    Whoever writes such functions sees it at the terminal.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record may be written."""
        return record.levelno > logging.INFO or record.name != "couchapi.javascript.engine"


def begin_request() -> str:
    """Give what is logged from here on, in this request, one id in common, and return it."""
    request = secrets.token_hex(4)
    _request.set(request)
    return request


def settings(folder: Path, level: str, form: str) -> dict[str, Any]:
    """Return Django's LOGGING: the terminal in this `form`, the file always as JSON."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "console": {"()": formatter, "as_json": form == "json"},
            "json": {"()": formatter, "as_json": True},
        },
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": "console"},
            "file": {
                "class": "thalihub.logs.boundedfile.BoundedFile",
                "path": folder / "logs" / FILE,
                "formatter": "json",
                "filters": ["contents"],
            },
        },
        "filters": {"contents": {"()": _NoContents}},
        "root": {"handlers": ["console", "file"], "level": level},
        "loggers": {name: {"level": "WARNING"} for name in ("daphne", "axes", "httpx")},
    }


def formatter(*, as_json: bool) -> logging.Formatter:
    """Return what makes a line of a record."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _with_request,
            _without_secrets,
            structlog.processors.JSONRenderer(ensure_ascii=False) if as_json else _line,
        ],
    )


def _with_request(_: WrappedLogger, __: str, said: EventDict) -> EventDict:
    if request := _request.get():
        said["request"] = request
    return said


def _without_secrets(_: WrappedLogger, __: str, said: EventDict) -> EventDict:
    for name in ("event", "exception"):
        if name in said:
            said[name] = redaction.redacted(str(said[name]))
    return said


def _line(_: WrappedLogger, __: str, said: EventDict) -> str:
    at, level = said["timestamp"][:19].replace("T", " "), str(said["level"]).upper()
    request = f" [{said['request']}]" if "request" in said else ""
    more = f"\n{said['exception']}" if "exception" in said else ""
    return f"{at} {level} {said['logger']}:{request} {said['event']}{more}"
