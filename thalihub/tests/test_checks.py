"""The system checks say what is wrong, and how to mend it."""

import pytest

from thalihub import checks


def _ids(messages):
    return [message.id for message in messages]


def test_private_folder_is_fine(settings, tmp_path):
    tmp_path.chmod(0o700)
    settings.HUB_DATA = tmp_path
    assert checks.data_folder_is_ours(None) == []


def test_folder_that_others_can_read_is_an_error(settings, tmp_path):
    tmp_path.chmod(0o755)
    settings.HUB_DATA = tmp_path
    assert _ids(checks.data_folder_is_ours(None)) == ["thalihub.E002"]


def test_folder_that_cannot_be_written_is_an_error(settings, tmp_path):
    settings.HUB_DATA = tmp_path / "missing"
    assert _ids(checks.data_folder_is_ours(None)) == ["thalihub.E001"]


@pytest.mark.parametrize(
    ("engine", "ids"),
    [("sqlite3", []), ("postgresql", []), ("mysql", ["thalihub.E003"])],
)
def test_only_known_databases_are_taken(monkeypatch, settings, engine, ids):
    entry = {"ENGINE": f"django.db.backends.{engine}"}
    monkeypatch.setitem(settings.DATABASES, "default", entry)
    assert _ids(checks.database_is_known(None)) == ids


def test_there_must_be_a_web_process(settings):
    settings.HUB_PROCESSES = 0
    assert _ids(checks.processes_is_positive(None)) == ["thalihub.E004"]
