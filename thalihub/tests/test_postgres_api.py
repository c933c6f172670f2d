"""On PostgreSQL the CouchDB API answers as on SQLite: its own tests run on both."""

from __future__ import annotations

import pytest

from thalihub.tests.postgres import PostgresServer, run_on

pytestmark = [pytest.mark.requires_postgres, pytest.mark.slow, pytest.mark.long]

# Those are of the files beside SQLite; PostgreSQL keeps contents in rows, which
# couchapi/tests/store/test_contents.py tries on both.
OF_FILES = "couchapi/tests/endpoints/test_large_attachments.py"


def test_the_api_answers_alike() -> None:
    with PostgresServer() as server:
        run_on(server, "couchapi/tests/endpoints", f"--ignore={OF_FILES}")
