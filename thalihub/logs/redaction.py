"""Takes out of a text what no log may hold: keys, tokens, passwords, contents, names of others.

What has a form is known by its form: PEM, key texts, hashes, credentials in headers and URLs, what
a database repeats of a row.  What has none, a name, has to be given.  Each thing that is taken out
leaves a word that says what it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

LONGEST = 8_000
"""Characters of a text that are kept: a traceback, and no document."""

_FORMS = (
    (r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", "(PEM)"),
    (r"(?i)\b(basic|bearer)\s+[A-Za-z0-9+/=_.~-]{6,}", r"\1 (credential)"),
    (
        r"(?i)(?<![a-z])(authorization|cookie|set-cookie|password|passphrase|passwort|secret|token)"
        r"(\"?\s*[=:]\s*\"?)[^\s,;\"']+",
        r"\1\2(secret)",
    ),
    (r"(?<=://)[^/\s@]+:[^/\s@]*@", "(credential)@"),
    (r"(?i)\b(setup|invitation)/[A-Za-z0-9_-]{16,}", r"\1/(secret)"),
    (r"#s=\S+", "#(secret)"),
    (r"\b[A-Z2-7]{7}(?:-[A-Z2-7]{7}){7}\b", "(key)"),
    (r"\bsha256:[A-Za-z0-9_-]{43}", "(key)"),
    (r"\brsapublickey:[0-9.]+", "(key)"),
    (r"\b[a-z2-7]{56}\.onion\b", "(onion address)"),
    (r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])", "(key)"),
    (r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{60,}={0,2}", "(long text)"),
    (r"(?m)^DETAIL:.*$", "DETAIL: (a row)"),
    (r"\?[^\s\"']*=[^\s\"']*", "?(query)"),
    (r"\{\s*\"(?:[^\"\\]|\\.)*\"\s*:.*\}", "(JSON)"),
)
_COMPILED = [(re.compile(form, re.DOTALL), word) for form, word in _FORMS]


def redacted(text: str) -> str:
    """Return the text without what can be known by its form, and not too long."""
    for form, word in _COMPILED:
        text = form.sub(word, text)
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n(…)\n{text[-half:]}"


def without_names(text: str, names: Mapping[str, str]) -> str:
    """Return the text with each of `names` replaced by its word, whatever stands around it."""
    found = sorted((name for name in names if name), key=len, reverse=True)
    if not found:
        return text
    any_of_them = re.compile("|".join(map(re.escape, found)), re.IGNORECASE)
    words = {name.lower(): word for name, word in names.items()}
    # Some letters are the same without case, and have small letters of their own.
    return any_of_them.sub(lambda hit: words.get(hit[0].lower(), "(name)"), text)
