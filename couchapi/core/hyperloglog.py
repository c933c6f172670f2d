"""How many different values there are, about: HyperLogLog (Flajolet and others, 2007).

Each value falls by its hash into one of 2,048 registers, which remember the longest run of zeros
that the rest of a hash began with.  Registers of parts are joined by taking the greater ones, so
the parts can be counted apart.  The standard error is 2.3 per cent, CouchDB's `hyper` with its
precision of 11; few values are counted by how many registers are still empty.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Iterable
from hashlib import blake2b

_PRECISION = 11
_REGISTERS = 1 << _PRECISION
_BITS = 64 - _PRECISION
_REST = (1 << _BITS) - 1
_ALPHA = 0.7213 / (1 + 1.079 / _REGISTERS)
EMPTY = bytes(_REGISTERS)


def of(values: Iterable[bytes]) -> bytes:
    """Return the registers of these values."""
    registers = bytearray(_REGISTERS)
    for value in values:
        hashed = int.from_bytes(blake2b(value, digest_size=8).digest())
        place = hashed >> _BITS
        run = _BITS - (hashed & _REST).bit_length() + 1
        if run > registers[place]:
            registers[place] = run
    return bytes(registers)


def union(several: Iterable[bytes]) -> bytes:
    """Return the registers of the values of all."""
    joined = EMPTY
    for registers in several:
        joined = bytes(map(max, joined, registers))
    return joined


def estimate(registers: bytes) -> int:
    """Return how many different values there were, about."""
    raw = _ALPHA * _REGISTERS**2 / sum([2.0**-run for run in registers])
    empty = registers.count(0)
    if raw <= 2.5 * _REGISTERS and empty:
        raw = _REGISTERS * math.log(_REGISTERS / empty)
    return round(raw)


def encode(registers: bytes) -> str:
    """Return a short text of the registers."""
    return base64.b64encode(zlib.compress(registers, 1)).decode()


def decode(text: str) -> bytes:
    """Return the registers of a text that `encode` made."""
    return zlib.decompress(base64.b64decode(text))
