"""A link runs at the hours of its job and of its peer, unless somebody says: now."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from acl import sql
from acl import store as people
from discovery import store as discovery
from discovery.core import windows
from discovery.core.errors import BadWindows
from replication import hours, manager
from replication.core import schedule
from replication.core.job import Direction, Mode, Priority, State, Wish
from replication.core.policy import Conditions, Power, Rules, Runs
from replication.store import jobs, links, policy, waking
from replication.store.links import ALWAYS, Ended, Hours
from replication.store.policy import Chosen

MONDAY = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC).timestamp()
EVENINGS = "Mon-Fri 18:00-20:00"
HOUR = 3600.0
AT_SIX, AT_SEVEN, AT_EIGHT = (MONDAY + hour * HOUR for hour in (18, 19, 20))


def test_a_job_with_hours_opens_and_closes() -> None:
    assert hours.of_link(EVENINGS, windows.ALWAYS, MONDAY) == Hours(AT_SIX, AT_EIGHT)
    assert hours.of_link(EVENINGS, windows.ALWAYS, AT_SEVEN) == Hours(0.0, AT_EIGHT)
    assert hours.of_link("", windows.ALWAYS, MONDAY) == ALWAYS


def test_job_and_peer_have_to_be_open_both() -> None:
    peer = windows.parse("19:00-23:00")
    assert hours.of_link(EVENINGS, peer, MONDAY) == Hours(AT_SEVEN, AT_EIGHT)
    never = Hours(schedule.NEVER, schedule.NEVER)
    assert hours.of_link(EVENINGS, windows.parse("09:00-10:00"), MONDAY) == never


def test_hours_are_written_in_the_time_of_the_machine(settings: Any) -> None:
    settings.HUB_TIME_ZONE = "Europe/Berlin"
    assert hours.kept("18:00-20:00", MONDAY) == "17:00-19:00"
    assert hours.shown("17:00-19:00", MONDAY) == "18:00-20:00"
    summer = MONDAY + 180 * 24 * HOUR
    assert hours.shown("17:00-19:00", summer) == "19:00-21:00"
    settings.HUB_TIME_ZONE = "Nowhere/Else"
    assert hours.kept("18:00-20:00", MONDAY) == "18:00-20:00"


@pytest.fixture
def job(api: Any, new_name: Callable[[], str]) -> Iterator[Callable[..., int]]:
    """Makes a job with a friend."""
    friend, made = api.principal(new_name()).name, list[int]()

    def make(now: float = MONDAY, **more: Any) -> int:
        wish = Wish(new_name(), friend, Direction.PULL, Mode.CONTINUOUS, **more)
        made.append(manager.add(wish, now))
        return made[-1]

    yield make
    for number in made:
        sql.write_sync(partial(jobs.remove, number=number))
    sql.write_sync(partial(policy.choose, chosen=Chosen()))
    sql.write_sync(partial(policy.sense, conditions=Conditions()))


def may_run(number: int, now: float) -> bool:
    """Tell whether a worker would take the job's link now; it is given back at once."""
    claims = sql.write_sync(partial(links.claim, owner="w", now=now, at_once=1000))
    sql.write_sync(partial(links.release, owner="w", now=now))
    return number in [one.job_id for one in claims]


def told(number: int, now: float) -> dict[str, Any]:
    (one,) = [one for one in manager.listing(now) if one["id"] == number]
    return one


def test_a_job_runs_at_its_hours_and_not_at_others(job: Callable[..., int]) -> None:
    number = job(windows=EVENINGS)
    assert not may_run(number, MONDAY)
    assert told(number, MONDAY)["next_try"] == AT_SIX
    assert told(number, MONDAY)["waits"] == "until its hours"
    assert may_run(number, AT_SIX)
    assert told(number, AT_SEVEN)["waits"] is None
    assert not may_run(number, AT_EIGHT)
    manager.bring_up_to_date(AT_EIGHT)
    assert told(number, AT_EIGHT)["next_try"] == AT_SIX + 24 * HOUR


def test_a_friend_is_asked_when_one_of_their_hubs_says_that_it_is_there(
    api: Any, new_name: Callable[[], str]
) -> None:
    friend = people.find_principal(api.principal(new_name()).name)
    card = {"hubs": [{"windows": EVENINGS}, {"windows": "Sat 09:00-12:00"}]}
    contact = discovery.Contact.objects.create(
        principal=friend, trust="verified", way="qr", card=card, paired_at=timezone.now()
    )
    number = manager.add(Wish(new_name(), friend.name, Direction.PULL, Mode.CONTINUOUS), MONDAY)
    try:
        assert told(number, MONDAY)["next_try"] == AT_SIX
        contact.card = {"hubs": [{"windows": EVENINGS}, {"windows": ""}]}
        contact.save()
        manager.bring_up_to_date(MONDAY)
        assert told(number, MONDAY)["waits"] is None
        assert may_run(number, MONDAY)
    finally:
        contact.delete()
        sql.write_sync(partial(jobs.remove, number=number))


def test_a_device_says_when_it_is_there(api: Any, new_name: Callable[[], str]) -> None:
    key = f"{new_name():C<42}A"
    discovery.add_device(new_name(), key, None, ["10.0.0.1:7"], timezone.now())
    assert key not in hours.published()
    discovery.Device.objects.filter(principal__key=key).update(windows=EVENINGS)
    assert hours.published()[key] == windows.parse(EVENINGS)
    discovery.Device.objects.filter(principal__key=key).delete()


def test_what_somebody_runs_now_runs_at_any_hour(job: Callable[..., int]) -> None:
    number = job(windows=EVENINGS)
    manager.run(number, MONDAY)
    assert may_run(number, MONDAY)
    assert told(number, MONDAY)["waits"] is None


def test_a_run_is_cut_off_when_its_hours_are_over(job: Callable[..., int]) -> None:
    number = job(windows=EVENINGS)
    claims = sql.write_sync(partial(links.claim, owner="w", now=AT_EIGHT - 10, at_once=1000))
    link = next(one.id for one in claims if one.job_id == number)
    renew = partial(links.renew, owner="w", numbers=[link])
    assert sql.write_sync(partial(renew, now=AT_EIGHT - 2)) == {link}
    assert sql.write_sync(partial(renew, now=AT_EIGHT)) == set()
    sql.write_sync(partial(links.release, owner="w", now=AT_EIGHT))


def test_nobody_is_listened_to_who_cannot_be_reached(job: Callable[..., int]) -> None:
    number = job(windows=EVENINGS)
    key = told(number, MONDAY)["links"][0]["key"]
    for now, listens in ((MONDAY, False), (AT_SEVEN, True)):
        watched = sql.read_sync(partial(waking.watched_hubs, now=now))
        assert (key in [one[0] for one in watched]) is listens


def test_hours_that_nobody_can_read_make_no_job(job: Callable[..., int]) -> None:
    with pytest.raises(BadWindows):
        job(windows="every full moon")


# -- battery and connection ------------------------------------------------------------------------


def test_on_battery_a_job_of_the_background_waits_and_says_so(job: Callable[..., int]) -> None:
    background = job(priority=Priority.BACKGROUND)
    normal = job()
    sql.write_sync(partial(policy.sense, conditions=Conditions(on_battery=True, charge=60)))
    assert (may_run(background, MONDAY), may_run(normal, MONDAY)) == (False, True)
    line = told(background, MONDAY)
    assert (line["waits"], line["links"][0]["reason"]) == ("on battery", "battery")
    assert "normal" in due() and "background" not in due()
    sql.write_sync(partial(policy.sense, conditions=Conditions(on_battery=False)))
    assert may_run(background, MONDAY)
    assert told(background, MONDAY)["waits"] is None


def test_what_the_owner_says_by_hand_holds_and_releases(job: Callable[..., int]) -> None:
    number = job()
    nothing = Rules(battery=Runs.NOTHING)
    sql.write_sync(partial(policy.choose, chosen=Chosen(power=Power.BATTERY, rules=nothing)))
    assert not may_run(number, MONDAY)
    manager.run(number, MONDAY)
    assert may_run(number, MONDAY)
    sql.write_sync(partial(policy.choose, chosen=Chosen(power=Power.MAINS, rules=nothing)))
    assert may_run(job(), MONDAY)


def due() -> list[str]:
    return sql.read_sync(partial(waking.due_priorities, now=MONDAY))


def test_what_has_failed_waits_for_the_mains_too(job: Callable[..., int]) -> None:
    number = job(priority=Priority.BACKGROUND)
    claims = sql.write_sync(partial(links.claim, owner="w", now=MONDAY, at_once=1000))
    (claim,) = [one for one in claims if one.job_id == number]
    failed = Ended(State.CRASHING, MONDAY + 30, 1, "Nobody answers.")
    sql.write_sync(partial(links.finish, claim=claim, ended=failed, now=MONDAY))
    sql.write_sync(partial(links.release, owner="w", now=MONDAY))
    assert told(number, MONDAY)["waits"] is None
    sql.write_sync(partial(policy.sense, conditions=Conditions(on_battery=True)))
    assert told(number, MONDAY)["waits"] == "on battery"
