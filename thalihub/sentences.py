"""Sentences that were written in English are said in the person's language.

What goes wrong is said once, where it goes wrong: in a core, which knows no language, in another
process, whose sentence waits in a row, or in another hub, whose sentence comes over the wire.  So
a page translates the sentence that it has, by looking for the form that it was made from.  The
forms of all our errors stand in `locale/sentences.json`, which `make messages` writes; `{0}` is
where a name or a number went.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import re2
from django.utils.translation import gettext as _

FORMS = Path(__file__).parent / "locale" / "sentences.json"
_PLACE = re.compile(r"\{\d+\}")
_LONGEST = 2000


def said(sentence: str) -> str:
    """Return the sentence in the language of the page; as it is where it has no translation."""
    # Of an empty text, gettext returns the catalogue's header.
    if not sentence or len(sentence) > _LONGEST:
        return sentence
    whole = _(sentence)
    if whole != sentence:
        return whole
    for form, shape in _shapes():
        if found := shape.fullmatch(sentence):
            return _(form).format(*found.groups())
    return sentence


@functools.cache
def _shapes() -> list[tuple[str, Any]]:
    """Return the forms with places in them, those with the most words of their own first."""
    forms = [form for form in json.loads(FORMS.read_text()) if _PLACE.search(form)]
    forms.sort(key=lambda form: -len(_PLACE.sub("", form)))
    # Another hub may have written the sentence: RE2 is linear whatever it is.
    return [(form, re2.compile(_shape(form))) for form in forms]


def _shape(form: str) -> str:
    literal = (re2.escape(part.format()) for part in _PLACE.split(form))
    return "(?s)" + "(.+?)".join(literal)
