"""Finding hubs within some metres by Bluetooth LE: bleak scans and reads, a radio of ours speaks.

One task does it all while anything is wanted: it opens the radio, announces, scans for a part of
the time, and begins again when the adapter or the system's Bluetooth has gone.  A stream is read
once for each epoch token, two at a time; whoever does not answer is asked three times and no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError
from dbus_fast import DBusError

from discovery.core import advert
from discovery.core.advert import LONGEST_STREAM, Advert, BadAdvert
from discovery.finders import OFF, ON, UNAVAILABLE, Announcement, Found, Sighting, Status, checked
from discovery.finders.ble_peripheral import BluezPeripheral
from discovery.finders.ble_radio import GONE, NO_BLUEZ, Radio, Trouble

logger = logging.getLogger(__name__)

NAME: Final = "ble"
DUTIES: Final = {"sparing": (5.0, 55.0), "balanced": (10.0, 20.0), "eager": (60.0, 0.0)}
"""Seconds of scanning, and of rest after it."""
_SETTLE_SECONDS = 5.0
_READ_SECONDS = 20.0
_CONNECT_SECONDS = 10.0
_STALE_SECONDS = 600.0
_TRIES = 3
_AT_ONCE = 2
_MOST_READS = 20
_MOST_SEEN = 1000
_OWN_TOKENS = 64
_FAILURES: Final = (BleakError, DBusError, BadAdvert, OSError, EOFError, TimeoutError)


@dataclass
class _Seen:
    """A token that a device has sent."""

    at: float
    tries: int = 0
    is_busy: bool = False
    is_read: bool = False


class BleFinder:
    """Announces and looks by one Bluetooth adapter."""

    name = NAME

    def __init__(
        self,
        duty: str = "balanced",
        radio: Callable[[], Radio] = BluezPeripheral,
        *,
        scanner: Any = None,
        client: Any = None,
        retry: float = 15.0,
    ) -> None:
        """`scanner` and `client` are bleak's backends, where not the system's; `retry` seconds."""
        self._scan, self._rest = DUTIES[duty]
        self._make_radio = radio
        self._scanner, self._client, self._retry = scanner, client, retry
        self._said: tuple[bytes, bytes] | None = None
        self._found: Found | None = None
        self._own: deque[bytes] = deque(maxlen=_OWN_TOKENS)
        self._seen: OrderedDict[tuple[str, bytes], _Seen] = OrderedDict()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._running: asyncio.Task[None] | None = None
        self._reads: set[asyncio.Task[None]] = set()
        self._changed, self._settled = asyncio.Event(), asyncio.Event()
        self._looking = asyncio.Event()
        self._status = Status(ON)

    async def announce(self, announcement: Announcement | None) -> None:
        """Announce this under a new token."""
        if checked(announcement) is None:
            self._said = None
        else:
            token = secrets.token_bytes(advert.TOKEN)
            self._own.append(token)
            self._said = _packed(announcement, token)
        await self._go_on()

    async def look(self, found: Found) -> None:
        """Look for others."""
        self._found = found
        self._seen.clear()
        self._looking.set()
        await self._go_on()

    async def forget(self) -> None:
        """Stop all; the system forgets what we have announced."""
        self._said = self._found = None
        self._looking.clear()
        tasks = {*self._reads, *([self._running] if self._running is not None else [])}
        self._running = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._seen.clear()
        self._status = Status(ON)

    def status(self) -> Status:
        """Return how it is, with a warning where the adapter shows who it is."""
        return Status(OFF) if self._said is None and self._found is None else self._status

    # -- the one task ------------------------------------------------------------------------------

    async def _go_on(self) -> None:
        """Have the task see what has changed, and wait a while until it is done or cannot be."""
        self._settled.set()
        self._settled = asyncio.Event()
        self._changed.set()
        if self._running is None:
            if self._said is None and self._found is None:
                return
            self._running = asyncio.create_task(self._run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                await self._settled.wait()

    async def _run(self) -> None:
        while True:
            radio = self._make_radio()
            try:
                await radio.open()
                await self._work(radio)
                words = GONE
            except Trouble as error:
                words = error.words
            except _FAILURES as error:
                logger.info("Bluetooth has failed: %s", error)
                words = NO_BLUEZ
            except Exception:  # The outermost line of this task, which is to go on.
                logger.exception("Bluetooth has failed; trying again.")
                words = NO_BLUEZ
            finally:
                await radio.close()
            self._status = Status(UNAVAILABLE, *words)
            self._settled.set()
            await asyncio.sleep(self._retry)

    async def _work(self, radio: Radio) -> None:
        """Speak and scan until the radio has gone; raises Trouble and what bleak raises."""
        parts: list[Coroutine[Any, Any, None]] = [
            self._speak(radio),
            self._listen(radio),
            radio.gone(),
        ]
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in done:
            task.result()

    async def _speak(self, radio: Radio) -> None:
        current = None
        while True:
            self._changed.clear()
            said, settled = self._said, self._settled
            if said is None and current is not None:
                await radio.silence()
            elif said is not None and said != current:
                await radio.serve(*said)
            current, warning = said, radio.warning
            self._status = Status(ON, *warning) if warning else Status(ON)
            settled.set()
            await self._changed.wait()

    async def _listen(self, radio: Radio) -> None:
        while True:
            await self._looking.wait()
            await self._scan_once(radio)
            await asyncio.sleep(self._rest)

    async def _scan_once(self, radio: Radio) -> None:
        scanner = BleakScanner(self._heard, bluez={"adapter": radio.adapter}, backend=self._scanner)
        await scanner.start()
        try:
            await asyncio.sleep(self._scan)
        finally:
            with contextlib.suppress(*_FAILURES):
                async with asyncio.timeout(_SETTLE_SECONDS):
                    await scanner.stop()

    # -- what is heard -----------------------------------------------------------------------------

    def _heard(self, device: BLEDevice, data: AdvertisementData) -> None:
        """Take an advert of whomever: the system filters by what stands in another part of it."""
        said = data.service_data.get(advert.SERVICE)
        if said is None or self._found is None:
            return
        try:
            heard = advert.parse(said)
        except BadAdvert:
            return
        if heard.token in self._own:
            return
        seen = self._note((device.address, heard.token))
        if (
            not (seen.is_read or seen.is_busy)
            and seen.tries < _TRIES
            and len(self._reads) < _MOST_READS
        ):
            seen.is_busy = True
            task = asyncio.get_running_loop().create_task(self._read(device, heard, seen))
            self._reads.add(task)
            task.add_done_callback(self._reads.discard)

    def _note(self, key: tuple[str, bytes]) -> _Seen:
        """Return what is known of a token; who was away for long is new."""
        now = asyncio.get_running_loop().time()
        seen = self._seen.pop(key, None)
        if seen is None or now - seen.at > _STALE_SECONDS:
            seen = _Seen(now)
        seen.at = now
        self._seen[key] = seen
        while len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)
        return seen

    async def _read(self, device: BLEDevice, heard: Advert, seen: _Seen) -> None:
        try:
            async with self._turns, asyncio.timeout(_READ_SECONDS):
                seen.tries += 1
                stream = await self._fetch(device)
            beacons, envelopes = advert.unframe(stream)
        except _FAILURES as error:
            logger.debug("%s cannot be read: %s", device.address, error)
            return
        finally:
            seen.is_busy = False
        seen.is_read = True
        if self._found is not None:
            where = f"{device.address} {heard.token.hex()}"
            self._found(Sighting(NAME, where, beacons, (), heard.pairing, envelopes))

    async def _fetch(self, device: BLEDevice) -> bytes:
        """Return the stream of a device; raises what bleak raises, and BadAdvert."""
        client = BleakClient(device, timeout=_CONNECT_SECONDS, backend=self._client)
        async with client:
            stream = b""
            while len(stream) <= LONGEST_STREAM:
                offset = advert.write_offset(len(stream))
                await client.write_gatt_char(advert.PAGES, offset, response=True)
                page = bytes(await client.read_gatt_char(advert.PAGES))
                stream += page
                if advert.is_last(page):
                    return stream
        raise BadAdvert


def _packed(announcement: Announcement | None, token: bytes) -> tuple[bytes, bytes]:
    assert announcement is not None
    data = advert.pack(Advert(token, announcement.pairing))
    return data, advert.frame(announcement.beacons, announcement.envelopes)
