"""Contact cards and groups: signed, kept whole, and refused where the key is another one."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from acl.core import certs
from acl.core.errors import KeyFormatError
from acl.core.keys import key_hash
from discovery.core import card as cards
from discovery.core import messages, signed
from discovery.core.card import Hub
from discovery.core.commitment import decoded, encoded
from discovery.core.errors import KeyChanged, MessageError

KEY = ec.derive_private_key(7, ec.SECP256R1())
OTHER = ec.derive_private_key(8, ec.SECP256R1())
NAME = certs.public_key_hash(KEY.public_key())
HUB = Hub(key_hash(b"device"), "desk", ("192.168.1.2:6984",), 1, "2026-01-01T00:00:00Z")

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def made(**more: Any) -> dict[str, Any]:
    return cards.make(KEY, "Ada", [HUB], changed="2026-01-01T00:00:00Z", **more)


def test_a_card_reads_back() -> None:
    card = cards.read(made(messaging={"database": "inbox"}))
    assert (card.key, card.name, card.hubs) == (NAME, "Ada", (HUB,))
    assert card.addresses == ("192.168.1.2:6984",)
    assert card.messaging == {"database": "inbox"}


def test_a_card_carries_the_notification_keys_of_hubs() -> None:
    hub = dataclasses.replace(HUB, beacon_key="A" * 43, beacon_until=1_800_000_000_000)
    document = cards.make(KEY, "Ada", [hub, HUB], changed="now")
    assert cards.read(document).hubs == (hub, HUB)
    document["hubs"][0]["beacon"]["key"] = "B" * 42 + "A"
    with pytest.raises(MessageError):
        cards.read(document)


def test_a_hub_says_when_it_can_be_reached() -> None:
    part_time = dataclasses.replace(HUB, windows="Mon-Fri 18:00-20:00")
    document = cards.make(KEY, "Ada", [part_time, HUB], changed="2026-01-01T00:00:00Z")
    assert cards.read(document).hubs == (part_time, HUB)
    assert "windows" not in document["hubs"][1]


@pytest.mark.parametrize("windows", ["x" * 401, 5, ["18:00-20:00"], "a\nb"])
def test_windows_that_are_no_short_text_are_refused(windows: Any) -> None:
    document = cards.make(KEY, "Ada", [HUB], changed="2026-01-01T00:00:00Z")
    content = {**document, "hubs": [{**document["hubs"][0], "windows": windows}]}
    content.pop("signature", None)
    with pytest.raises(MessageError):
        cards.read(signed.sign(content, KEY))


@pytest.mark.slow
@given(st.dictionaries(st.text(min_size=1, max_size=6).map("x_".__add__), plain, max_size=4))
def test_unknown_members_are_kept_and_signed(more: dict[str, Any]) -> None:
    document = json.loads(json.dumps(made(**more)))
    card = cards.read(document)
    assert {name: card.document[name] for name in more} == more
    for name in more:
        with pytest.raises(MessageError):
            cards.read({k: v for k, v in document.items() if k != name})


@pytest.mark.slow
@given(st.data())
def test_whatever_is_changed_is_noticed(data: st.DataObject) -> None:
    document = made()
    name = data.draw(st.sampled_from(sorted(document)))
    value = data.draw(plain.filter(lambda new: new != document[name]))
    with pytest.raises(MessageError):
        cards.read({**document, name: value})


def test_the_signature_is_es256_over_the_canonical_form() -> None:
    document = made()
    assert len(decoded(document["signature"])) == 64
    shuffled = dict(reversed(document.items()))
    assert cards.read(shuffled).name == "Ada"


def test_a_card_of_another_key_than_the_pinned_one_is_refused() -> None:
    document = made()
    assert cards.read(document, NAME).key == NAME
    with pytest.raises(KeyChanged):
        cards.read(document, key_hash(b"another"))


def test_a_signature_of_somebody_else_is_refused() -> None:
    document = made()
    theirs = signed.sign(document, OTHER)
    with pytest.raises(MessageError):
        cards.read({**theirs, "key": document["key"]})


def test_another_type_of_key_cannot_sign() -> None:
    for key in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(KeyFormatError):
            signed.sign({}, key)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"type": "other"},
        {"version": 2},
        {"name": ""},
        {"name": "x" * 65},
        {"name": "a\nb"},
        {"hubs": {}},
        {"hubs": [1]},
        {"hubs": [HUB.document()] * 7},
        {"hubs": [{**HUB.document(), "key": "short"}]},
        {"hubs": [{**HUB.document(), "addresses": ["x" * 201]}]},
        {"hubs": [{**HUB.document(), "addresses": "here"}]},
        {"hubs": [{**HUB.document(), "beacon": 7}]},
        {"hubs": [{**HUB.document(), "beacon": {"key": "short", "until": 7}}]},
        {"hubs": [{**HUB.document(), "beacon": {"key": "A" * 43, "until": "7"}}]},
        {"hubs": [{**HUB.document(), "beacon": {"key": "A" * 43, "until": -1}}]},
        {"messaging": []},
        {"deep": json.loads("[" * 20 + "]" * 20)},
        {"large": 2**60},
    ],
)
def test_a_signed_card_of_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        cards.read(signed.sign({**made(), **change}, KEY))


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", '{"key":1}', "[" * 3000, '{"a":' * 600 + "1" + "}" * 600]
)
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        cards.parse(text)


def test_a_card_leaves_out_the_hubs_that_find_no_room() -> None:
    many = [Hub(key_hash(bytes([n])), "x" * 60, ("y" * 200,) * 8, n) for n in range(9)]
    document = cards.make(KEY, "Ada", many, changed="now")
    assert 1 <= len(document["hubs"]) < 6
    assert len(signed.canonical(document)) <= cards.LARGEST
    body = messages.write(
        sid=b"s" * 16, proof=b"p" * 32, card=document, keys=[encoded(b"k" * 91)] * 2
    )
    assert len(body) <= messages.LARGEST


def test_a_group_reads_back_without_the_cards_that_are_wrong() -> None:
    right, wrong = made(), {**made(), "name": "Eve"}
    group = cards.parse_group(json.dumps(cards.make_group(OTHER, "club", [right, wrong], "now")))
    assert group.key == certs.public_key_hash(OTHER.public_key())
    assert (group.name, [card.name for card in group.cards]) == ("club", ["Ada"])


def test_a_group_that_was_changed_is_refused() -> None:
    document = cards.make_group(OTHER, "club", [made()], "now")
    for change in ({"name": "clubs"}, {"cards": []}, {"type": cards.CARD}):
        with pytest.raises(MessageError):
            cards.parse_group(json.dumps({**document, **change}))


# -- messages ----------------------------------------------------------------------------------


def test_a_message_reads_back() -> None:
    body = messages.write(
        sid=b"s" * 16, commit=b"c" * 32, id=b"i" * 32, name="Ada", addresses=["a:1"]
    )
    found = messages.read("start", body + b" ")
    assert (found["sid"], found["commit"], found["addresses"]) == (b"s" * 16, b"c" * 32, ("a:1",))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"v":2}',
        b'{"v":1}',
        messages.write(sid=b"s" * 15, nI=b"n" * 32),
        messages.write(sid=b"s" * 16, nI=7),
        messages.write(sid=b"s" * 16, nI=b"n" * 32, more="x" * 4096),
    ],
)
def test_a_message_of_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(MessageError):
        messages.read("reveal", body)


@pytest.mark.parametrize("name", ["x" * 65, "é" * 33, "a\nb", 7, None, "\ud800"])
def test_a_name_that_is_no_name_is_refused(name: object) -> None:
    plain = {"v": 1, "sid": "A" * 22, "commit": "A" * 43, "id": "A" * 43, "addresses": []}
    with pytest.raises(MessageError):
        messages.read("start", json.dumps({**plain, "name": name}).encode())


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for kind in messages.FIELDS:
        with pytest.raises(MessageError):
            messages.read(kind, body)


def test_a_name_is_cut_between_letters() -> None:
    assert messages.cut("é" * 40) == "é" * 32
