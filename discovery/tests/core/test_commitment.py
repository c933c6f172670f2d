"""The values of pairing, worked out a second time, and how evenly the codes fall."""

from __future__ import annotations

import hashlib
import hmac
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.core import commitment as values
from discovery.core.errors import MessageError

thirty_two = st.binary(min_size=32, max_size=32)


def joined(*items: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(item)) + item for item in items)


def sha(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


@given(st.lists(st.binary(max_size=5), max_size=5), st.lists(st.binary(max_size=5), max_size=5))
def test_two_lists_never_give_the_same_bytes(one: list[bytes], other: list[bytes]) -> None:
    assert (values.lp(*one) == values.lp(*other)) == (one == other)


@given(st.binary(min_size=16, max_size=16), thirty_two, thirty_two, thirty_two, thirty_two)
def test_the_values_are_those_of_the_design(
    sid: bytes, k_i: bytes, k_r: bytes, n_i: bytes, n_r: bytes
) -> None:
    label = b"thali-pair-1/commit"
    assert values.commitment(sid, k_i, k_r, n_i) == sha(joined(label, sid, k_i, k_r, n_i))

    label = b"thali-pair-1/transcript"
    said = joined(label, b"\x01", sid, k_i, k_r, n_i, n_r, sha(b"start"), sha(b"answer"))
    transcript = values.transcript(sid, k_i, k_r, n_i, n_r, b"start", b"answer")
    assert transcript == sha(said)

    # RFC 5869, with the salt left out.
    inner = hmac.digest(bytes(32), transcript, "sha256")
    derived = hmac.digest(inner, b"thali-pair-1/sas\x01", "sha256")[:8]
    number = int.from_bytes(derived, "big") % 1_000_000
    assert values.code(transcript) == f"{number // 1000:03} {number % 1000:03}"

    proof = hmac.digest(b"s" * 16, joined(b"thali-qr-1", k_i, k_r, sid), "sha256")
    assert values.proof(b"s" * 16, k_i, k_r, sid) == proof


def test_a_known_transcript_gives_a_known_code() -> None:
    assert values.code(bytes(32)) == "321 800"


def chi_squared(bins: int, numbers: list[int]) -> float:
    counts = [0] * bins
    for number in numbers:
        counts[number] += 1
    mean = len(numbers) / bins
    return sum((count - mean) ** 2 / mean for count in counts)


def codes(count: int) -> list[int]:
    source = random.Random(42)
    return [values.digits(source.randbytes(32)) for _ in range(count)]


@pytest.mark.parametrize("of", [lambda n: n % 64, lambda n: n // 15_625], ids=["low", "high"])
def test_the_codes_are_uniform(of: object) -> None:
    # 63 degrees of freedom: beyond 117 once in 30,000 runs, and the source is seeded.
    assert chi_squared(64, [of(n) for n in codes(6_400)]) < 117  # type: ignore[operator]


@pytest.mark.nightly
def test_a_million_codes_are_uniform() -> None:
    found = codes(10**6)
    # 999 degrees of freedom: mean 999, standard deviation 44.7; five of them above.
    assert chi_squared(1000, [n // 1000 for n in found]) < 1223
    assert chi_squared(1000, [n % 1000 for n in found]) < 1223


@given(st.binary(max_size=70))
def test_bytes_travel_as_base64url(value: bytes) -> None:
    assert values.decoded(values.encoded(value), len(value)) == value


@pytest.mark.parametrize("bad", [None, 7, "a", "=", "YQ==", "YR", "Y Q", "ü", "YQ\n", "+/8"])
def test_another_spelling_is_refused(bad: object) -> None:
    with pytest.raises(MessageError):
        values.decoded(bad)


def test_a_value_of_another_length_is_refused() -> None:
    with pytest.raises(MessageError):
        values.decoded("YWJj", 2)
