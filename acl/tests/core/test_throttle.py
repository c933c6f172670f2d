"""Wrong tokens are answered later and later tried, and little is remembered of them."""

from __future__ import annotations

from acl.core.throttle import FREE, MOST, PAUSE, WINDOW, Throttle


def test_a_few_wrong_tokens_are_answered_at_once_and_more_are_not() -> None:
    throttle = Throttle()
    pauses = [throttle.failed("127.0.0.1", 5.0) for _ in range(FREE + 2)]
    assert pauses == [0.0] * FREE + [PAUSE] * 2


def test_after_a_while_an_address_begins_anew() -> None:
    throttle = Throttle()
    for _ in range(FREE + 1):
        throttle.failed("127.0.0.1", 0.0)
    assert throttle.failed("127.0.0.1", WINDOW - 1) == PAUSE
    assert throttle.failed("127.0.0.1", WINDOW) == 0.0


def test_one_address_does_not_slow_another() -> None:
    throttle = Throttle()
    for _ in range(FREE):
        throttle.failed("127.0.0.1", 0.0)
    assert throttle.failed("127.0.0.2", 0.0) == 0.0


def test_an_address_of_the_same_household_is_the_same() -> None:
    throttle = Throttle()
    for number in range(FREE):
        throttle.failed(f"2001:db8::{number:x}", 0.0)
    assert throttle.failed("2001:db8::ffff", 0.0) == PAUSE
    assert throttle.failed("2001:db8:0:1::1", 0.0) == 0.0


def test_the_memory_of_addresses_is_bounded() -> None:
    throttle = Throttle()
    for number in range(3 * MOST):
        throttle.failed(f"sender {number}", 0.0)
    assert len(throttle) == MOST
