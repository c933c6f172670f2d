"""Key texts and key hashes: one spelling each, and no typing error goes unnoticed."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from acl.core import keys
from acl.core.errors import KeyFormatError

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
hashes = st.binary(min_size=32, max_size=32).map(keys.key_hash)


@given(hashes)
def test_a_key_text_reads_back(key: str) -> None:
    text = keys.key_text(key)
    assert [len(group) for group in text.split("-")] == [7] * 8
    assert keys.parse_key_text(text) == key
    assert text.startswith(keys.short_key(key))


@given(hashes, st.randoms(use_true_random=False))
def test_what_looks_alike_is_read_alike(key: str, random: object) -> None:
    text = keys.key_text(key)
    typed = text.replace("O", "0").replace("I", "1").replace("B", "8").lower()
    assert keys.parse_key_text(typed.replace("-", " ")) == key
    assert keys.parse_key_text(f"  {typed.replace('-', '')}\n") == key


@given(hashes, st.integers(0, 55), st.integers(1, 31))
def test_a_single_wrong_character_is_noticed(key: str, where: int, by: int) -> None:
    letters = list(keys.key_text(key).replace("-", ""))
    letters[where] = ALPHABET[(ALPHABET.index(letters[where]) + by) % 32]
    with pytest.raises(KeyFormatError, match="typing error"):
        keys.parse_key_text("".join(letters))


@pytest.mark.parametrize("text", ["", "A", "A" * 55, "A" * 57, "9" * 56, "Ä" * 56, "A" * 55 + "ß"])
def test_what_is_no_key_text_is_refused(text: str) -> None:
    with pytest.raises(KeyFormatError):
        keys.parse_key_text(text)


def test_spare_bits_of_the_last_letter_must_be_zero() -> None:
    # Fifty-two letters hold four bits more than a hash: B instead of A would be a second spelling.
    quarter = "A" * 12 + "B"
    letters = ("A" * 13 + "A") * 3 + quarter + keys._check(quarter)
    with pytest.raises(KeyFormatError, match="last group"):
        keys.parse_key_text(letters)


def test_the_hash_is_that_of_the_spki() -> None:
    assert len(keys.key_hash(b"spki")) == 43
    assert keys._decoded(keys.key_hash(b"spki")) == hashlib.sha256(b"spki").digest()


@given(hashes)
def test_a_machine_text_reads_back(key: str) -> None:
    assert keys.parse_key(f"sha256:{key}") == key
    assert keys.parse_any(f" sha256:{key}\n") == key
    assert keys.parse_any(keys.key_text(key)) == key


@given(hashes, st.sampled_from("BCDFGHIJKLMNO"))
def test_a_machine_text_has_one_spelling(key: str, last: str) -> None:
    # The last character's two spare bits are zero in A, E, I, …
    text = f"sha256:{key[:-1]}{last}"
    if last in "IM":
        assert keys.parse_key(text) == text.removeprefix("sha256:")
    elif last not in "AEIMQUYcgkosw048":
        with pytest.raises(KeyFormatError):
            keys.parse_key(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "A" * 43,
        "sha256:" + "A" * 42,
        "sha256:" + "A" * 44,
        "SHA256:" + "A" * 43,
        "sha1:" + "A" * 43,
        "sha256:" + "A" * 42 + "=",
        "sha256:" + "A" * 42 + "+",
        "sha256:" + "A" * 43 + "\n",
    ],
)
def test_what_is_no_machine_text_is_refused(text: str) -> None:
    with pytest.raises(KeyFormatError):
        keys.parse_key(text)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
def test_common_curves_are_taken(curve: ec.EllipticCurve) -> None:
    assert keys.accepted_key_type(ec.generate_private_key(curve).public_key())


def test_ed25519_is_taken() -> None:
    assert keys.accepted_key_type(ed25519.Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize("curve", [ec.SECP521R1(), ec.SECP256K1()])
def test_other_curves_are_not(curve: ec.EllipticCurve) -> None:
    assert not keys.accepted_key_type(ec.generate_private_key(curve).public_key())


@pytest.mark.parametrize(("bits", "taken"), [(1024, False), (2047, False), (2048, True)])
def test_short_rsa_keys_are_not(bits: int, taken: bool) -> None:
    numbers = rsa.RSAPublicNumbers(65537, (1 << bits - 1) + 1)
    assert keys.accepted_key_type(numbers.public_key()) is taken
