"""JSON values as bytes whose order is CouchDB's order of views (CouchDB docs, "View collation").

null, false, true, numbers, strings, arrays, objects: a byte says which, and what follows keeps
the order within.  Numbers are doubles with their bits turned so that they count upwards, and what
an integer is above its double.  Strings are ICU's sort keys of the root collation, which CouchDB
uses too.  Members of arrays and objects follow each other, as written, up to an end mark that is
below them all.  So SQL orders rows of views by comparing bytes, and no encoding of a value is the
beginning of another's, but for the integers: what they add begins with a byte above all others.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import icu  # type: ignore[import-untyped]

MIN = b""
"""Below every key."""
MAX = b"\xfe"
"""Above every key, and above everything that goes on after a key's members."""

_END = b"\x00"
_NULL, _FALSE, _TRUE, _NUMBER, _STRING, _ARRAY, _OBJECT = (bytes([tag]) for tag in range(1, 8))
_ABOVE_ITS_DOUBLE = b"\xff"
_SIGN = 1 << 63
_ALL_BITS = (1 << 64) - 1
_EXACT = 2**53

_pack = struct.Struct(">d").pack
_collator = icu.Collator.createInstance(icu.Locale.getRoot())
_string_key = _collator.getSortKey


def encode(value: Any) -> bytes:
    """Return the bytes that stand for a JSON value in the order of keys."""
    if type(value) is str:
        return _STRING + _string_key(value)  # type: ignore[no-any-return]
    out: list[bytes] = []
    _encode(value, out)
    return b"".join(out)


def compare_strings(left: str, right: str) -> int:
    """Return less than, equal to or greater than 0, as `left` is to `right` in ICU's order."""
    order: int = _collator.compare(left, right)
    return order


def after(key: bytes) -> bytes:
    """Return the bound just above one key: below it are this key and all before it."""
    return key + _END


def group(value: Any, level: int | None) -> tuple[bytes, bytes]:
    """Return the bounds, low included and high not, of the keys that group with `value`.

    They are those whose first `level` members are alike; None, and for what is no array, those
    that are equal.
    """
    if level is None or type(value) is not list or len(value) < level:
        low = encode(value)
        return low, after(low)
    low = encode(value[:level])[: -len(_END)]
    return low, low + MAX


def _encode(value: Any, out: list[bytes]) -> None:
    kind = type(value)
    if kind is str:
        out += (_STRING, _string_key(value))
    elif kind is int or kind is float:
        out.append(_number(value))
    elif kind is list:
        out.append(_ARRAY)
        for each in value:
            _encode(each, out)
        out.append(_END)
    elif kind is dict:
        out.append(_OBJECT)
        for name, each in value.items():
            out += (_STRING, _string_key(name))
            _encode(each, out)
        out.append(_END)
    else:
        out.append(_NULL if value is None else _TRUE if value else _FALSE)


def _number(value: int | float) -> bytes:
    if type(value) is int and not -_EXACT <= value <= _EXACT:
        return _large(value)
    return _NUMBER + _ordered(value)


def _large(value: int) -> bytes:
    """Return the key of an integer between doubles: that of the lower one, and the difference."""
    double = float(value)
    if double > value:
        double = math.nextafter(double, -math.inf)
    above = value - int(double)
    key = _NUMBER + _ordered(double)
    if not above:
        return key
    length = (above.bit_length() + 7) // 8
    return key + _ABOVE_ITS_DOUBLE + bytes([length]) + above.to_bytes(length)


def _ordered(value: int | float) -> bytes:
    """Return the eight bytes of a double so that greater ones are greater."""
    (bits,) = _unpack(_pack(value + 0.0))  # -0.0 is 0.0
    return int(bits ^ (_ALL_BITS if bits & _SIGN else _SIGN)).to_bytes(8)


_unpack = struct.Struct(">Q").unpack
