"""`manage.py job`: what the owner says on the command line is kept, and told again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from acl import sql
from replication import manager
from replication.core.policy import Network, Power, Rules, Runs
from replication.store import jobs, policy
from replication.store.policy import Chosen

KEY = "A" * 43
PEER = f"httpkey://127.0.0.1:6984/sha256:{KEY}/letters"


def job(*arguments: str) -> Any:
    out = io.StringIO()
    call_command("job", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("job", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture(autouse=True)
def at_home(tables: None, settings: Any) -> Iterator[None]:
    settings.HUB_TIME_ZONE = "UTC"
    yield
    sql.write_sync(partial(policy.choose, chosen=Chosen()))
    manager.be_reached("")


@pytest.fixture
def added(new_name: Callable[[], str]) -> Iterator[Callable[..., dict[str, Any]]]:
    """Adds a job, and tells how it is listed."""
    made = list[int]()

    def add(*arguments: str) -> dict[str, Any]:
        made.append(job("add", new_name(), PEER, "--pull", *arguments)["id"])
        (one,) = [one for one in job("list") if one["id"] == made[-1]]
        return dict(one)

    yield add
    for number in made:
        sql.write_sync(partial(jobs.remove, number=number))


def test_a_job_has_hours_a_limit_and_attachments_that_come_later(
    added: Callable[..., dict[str, Any]],
) -> None:
    told = added(
        "--window", "mon-fri 18:00-20:00", "--limit", "50000", "--attachments", "later",
        "--priority", "background",
    )  # fmt: skip
    assert told["windows"] == "Mon-Fri 18:00-20:00"
    assert (told["bytes_per_second_at_most"], told["attachments"]) == (50_000, "later")
    assert added()["attachments"] == "with documents"


def test_what_is_no_window_or_no_limit_is_refused(added: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(CommandError, match="18:00-20:00"):
        added("--window", "at night")
    with pytest.raises(CommandError, match="1024"):
        added("--limit", "5")


def test_a_job_that_waits_says_why(added: Callable[..., dict[str, Any]]) -> None:
    job("policy", "--power", "battery", "--on-battery", "now")
    told = added("--once")
    assert (told["state"], told["waits"]) == ("pending", "on battery")
    assert "waits: on battery" in said("list")


def test_the_policy_is_said_and_changed_bit_by_bit() -> None:
    job("policy", "--network", "metered", "--on-metered", "now")
    told = job("policy", "--limit", "100000")
    assert (told["network"], told["on_metered"], told["on_battery"]) == ("metered", "now", "normal")
    assert (told["is_metered"], told["bytes_per_second"]) == (True, 100_000)
    assert told["running"] == ["now"]
    assert manager.chosen() == Chosen(Network.METERED, Power.AUTO, Rules(metered=Runs.NOW), 100_000)
    assert "is metered" in said("policy")
    with pytest.raises(CommandError, match="1024"):
        job("policy", "--limit", "3")


def test_this_hub_says_when_it_can_be_reached() -> None:
    assert job("hours") == {"windows": None}
    assert job("hours", "Sat,Sun 09:00-12:00") == {"windows": "Sat,Sun 09:00-12:00"}
    assert "Sat,Sun 09:00-12:00" in said("hours")
    assert job("hours", "always") == {"windows": None}
    with pytest.raises(CommandError, match="18:00"):
        job("hours", "when I am in")
