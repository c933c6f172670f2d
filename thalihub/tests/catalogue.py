"""The texts of all pages, for the catalogues of other languages: `make messages`.

Templates and Python are read as Django's own `makemessages` reads them, but by Babel, so that no
program besides Python is needed.  What errors say is read from the source (refusals.py).
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import django
from babel.messages import mofile, pofile
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from django.apps import apps
from django.utils import translation
from django.utils.translation.template import templatize

from thalihub import labels, sentences
from thalihub.tests import refusals
from thalihub.tests.hubprocess import SOURCE

LOCALE = SOURCE / "thalihub" / "locale"
LANGUAGES = ("de",)
_APPS = ("acl", "couchapi", "discovery", "replication", "thalihub")
_CALLS = {
    "_": None, "gettext": None, "gettext_lazy": None, "gettext_noop": None,
    "ngettext": (1, 2), "ngettext_lazy": (1, 2), "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}  # fmt: skip
_NOT_THERE = {"tests", "migrations"}


def extracted() -> Catalog:
    """Return every text that a page may show, and where it stands."""
    catalogue = Catalog(project="Thali Device Hub", charset="utf-8")
    for path in _sources():
        text = path.read_text()
        if path.suffix == ".html":
            text = templatize(text, origin=str(path))
        for line, message, _comments, context in extract(
            "python", io.BytesIO(text.encode()), keywords=_CALLS
        ):
            where = [(str(path.relative_to(SOURCE)), line)]
            flags = ["python-format"] if "%(" in str(message) or "%d" in str(message) else []
            catalogue.add(message, locations=where, context=context, flags=flags)
    for text in (*refusals.forms(), *_names()):
        catalogue.add(text)
    return catalogue


def _names() -> Iterator[str]:
    """Give the names of tables and columns, in English and without those that are empty."""
    if not apps.ready:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "thalihub.settings")
        django.setup()
    with translation.override("en"):
        yield from filter(None, list(labels.texts()))


def _sources() -> Iterator[Path]:
    for folder in (*_APPS, "templates"):
        for path in sorted((SOURCE / folder).rglob("*")):
            if path.suffix in (".py", ".html") and not _NOT_THERE & set(path.parts):
                yield path


def kept(language: str) -> Catalog:
    """Return the catalogue of a language as it is in the repository."""
    with _file(language).open("rb") as file:
        return pofile.read_po(file, locale=language)


def compiled(catalogue: Catalog) -> bytes:
    """Return what Django reads."""
    target = io.BytesIO()
    mofile.write_mo(target, catalogue)
    return target.getvalue()


def renew() -> None:
    """Bring the catalogues up to date; what is not translated yet stays empty."""
    texts = extracted()
    sentences.FORMS.write_text(forms())
    for language in LANGUAGES:
        known = kept(language)
        texts.creation_date = known.creation_date  # So that only texts change the file.
        known.update(texts, no_fuzzy_matching=True)
        known.obsolete.clear()
        with _file(language).open("wb") as file:
            pofile.write_po(file, known, width=100, no_location=True, sort_output=True)
        _file(language).with_suffix(".mo").write_bytes(compiled(kept(language)))


def forms() -> str:
    """Return the file by which the pages know which form a sentence was made from."""
    return json.dumps(refusals.forms(), ensure_ascii=False, indent=0) + "\n"


def _file(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / "django.po"


if __name__ == "__main__":
    renew()
