"""A child that dies again and again is started ever more rarely."""

from hypothesis import given
from hypothesis import strategies as st

from thalihub.processes.backoff import FIRST_SECONDS, HEALTHY_SECONDS, LONGEST_SECONDS, next_delay

short = st.floats(0, HEALTHY_SECONDS, exclude_max=True)


def test_delays_double_up_to_a_minute():
    delays, delay = [], None
    for _ in range(8):
        delay = next_delay(delay, lived=0.1)
        delays.append(delay)
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]


@given(st.floats(FIRST_SECONDS, LONGEST_SECONDS), st.floats(HEALTHY_SECONDS, 1e9))
def test_healthy_life_begins_anew(previous, lived):
    assert next_delay(previous, lived) == FIRST_SECONDS


@given(st.floats(FIRST_SECONDS, LONGEST_SECONDS), short)
def test_short_life_never_shortens_the_delay(previous, lived):
    assert previous <= next_delay(previous, lived) <= LONGEST_SECONDS
