"""A hub's Bluetooth on bumble's virtual controllers: another process than the air it is in.

`Air` has the controllers, which speak HCI over TCP on loopback; `python -m` of this module is a
hub with the Bluetooth finder on one of them, which says in lines of JSON what it finds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bumble import gatt
from bumble.att import ATT_Error, ErrorCode
from bumble.controller import Controller
from bumble.core import UUID, AdvertisingData
from bumble.core import BaseError as BumbleError
from bumble.device import Device, Peer
from bumble.hci import Address
from bumble.link import LocalLink
from bumble.transport.tcp_client import open_tcp_client_transport
from bumble.transport.tcp_server import open_tcp_server_transport_with_socket

from discovery.core import advert
from discovery.core.advert import BadAdvert
from discovery.finders import Announcement, Sighting
from discovery.finders.ble import BleFinder
from discovery.finders.ble_peripheral import Pages

_FLAGS = b"\x02\x01\x06"


@contextlib.asynccontextmanager
async def air(count: int) -> AsyncIterator[list[int]]:
    """Have controllers that share the air; gives the port of each."""
    link, ports = LocalLink(), list[int]()
    async with contextlib.AsyncExitStack() as stack:
        for number in range(count):
            one = socket.create_server(("127.0.0.1", 0))
            ports.append(one.getsockname()[1])
            transport = await open_tcp_server_transport_with_socket(one)
            stack.callback(_close, transport)
            Controller(f"C{number}", transport.source, transport.sink, link)
        yield ports


def _close(transport: Any) -> None:
    transport.server.close()
    if transport.sink.transport is not None:
        transport.sink.transport.abort()


class VirtualRadio:
    """Advertises and serves by a controller of bumble's."""

    adapter = ""
    warning = None

    def __init__(self, device: Device) -> None:
        self._device, self._pages = device, Pages()
        value = gatt.CharacteristicValue(read=self._read, write=self._write)
        both = gatt.Characteristic.Properties.READ | gatt.Characteristic.Properties.WRITE
        allowed = gatt.Characteristic.READABLE | gatt.Characteristic.WRITEABLE
        pages = gatt.Characteristic(advert.PAGES, both, allowed, value)
        device.add_service(gatt.Service(advert.SERVICE, [pages]))

    def _read(self, connection: Any) -> bytes:
        return self._pages.read(str(connection.peer_address))

    def _write(self, connection: Any, value: bytes) -> None:
        try:
            self._pages.seek(str(connection.peer_address), value)
        except BadAdvert:
            raise ATT_Error(ErrorCode.INVALID_ATTRIBUTE_LENGTH) from None

    async def open(self) -> None:
        await self._device.power_on()

    async def serve(self, data: bytes, stream: bytes) -> None:
        await self.silence()
        self._pages.stream = stream
        said = bytes(UUID(advert.SERVICE)) + data
        kind = bytes([len(said) + 1, AdvertisingData.SERVICE_DATA_128_BIT_UUID])
        assert len(_FLAGS + kind + said) <= 31
        await self._device.start_advertising(
            auto_restart=True,
            advertising_data=_FLAGS + kind + said,
            advertising_interval_min=20,
            advertising_interval_max=20,
        )

    async def silence(self) -> None:
        self._pages.stream = b""
        await self._device.stop_advertising()

    async def gone(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        await self._device.power_off()


def backends(device: Device) -> tuple[type[BaseBleakScanner], type[BaseBleakClient]]:
    """Return bleak's backends for one device: it makes their objects itself."""
    return (
        type("VirtualScanner", (_Scanner,), {"device": device}),
        type("VirtualClient", (_Client,), {"device": device}),
    )


class _Scanner(BaseBleakScanner):
    device: Device

    def __init__(self, callback: Any, service_uuids: Any, scanning_mode: Any, **_: Any) -> None:
        super().__init__(callback, service_uuids)

    async def start(self) -> None:
        self.seen_devices = {}
        self.device.on("advertisement", self._heard)
        await self.device.start_scanning()

    async def stop(self) -> None:
        self.device.remove_listener("advertisement", self._heard)
        await self.device.stop_scanning()

    def _heard(self, heard: Any) -> None:
        kind = AdvertisingData.SERVICE_DATA_128_BIT_UUID
        data = {
            uuid.to_hex_str("-").lower(): bytes(value) for uuid, value in heard.data.get_all(kind)
        }
        said = AdvertisementData(None, {}, data, [], None, heard.rssi, (heard,))
        key = str(heard.address)
        details = {"address": heard.address}
        device = self.create_or_update_device(key, key, None, details, said)
        self.call_detection_callbacks(device, said)


class _Client(BaseBleakClient):
    device: Device

    def __init__(self, address_or_ble_device: Any, **more: Any) -> None:
        super().__init__(
            address_or_ble_device,
            disconnected_callback=more.get("disconnected_callback"),
            timeout=more.get("timeout", 10.0),
        )
        assert isinstance(address_or_ble_device, BLEDevice)
        self._target: Address = address_or_ble_device.details["address"]
        self._connection: Any = None

    name = "virtual"
    mtu_size = 517

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def connect(self, pair: bool, **_: Any) -> None:
        async with asyncio.timeout(self._timeout):
            self._connection = await self.device.connect(self._target)
            peer = Peer(self._connection)
            await peer.request_mtu(self.mtu_size)
            await peer.discover_services([UUID(advert.SERVICE)])
            self.services = BleakGATTServiceCollection()
            for service in peer.services:
                await service.discover_characteristics()
                self._add(service)

    def _add(self, service: Any) -> None:
        said = BleakGATTService(service, service.handle, advert.SERVICE)
        self.services.add_service(said)
        for one in service.characteristics:
            uuid = one.uuid.to_hex_str("-").lower()
            made = BleakGATTCharacteristic(
                one, one.handle, uuid, ["read", "write"], lambda: 512, said
            )
            self.services.add_characteristic(made)

    async def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(BumbleError):
                await connection.disconnect()

    async def read_gatt_char(self, characteristic: Any, **_: Any) -> bytearray:
        return bytearray(await characteristic.obj.read_value())

    async def write_gatt_char(self, characteristic: Any, data: Any, response: bool) -> None:
        await characteristic.obj.write_value(bytes(data), with_response=response)

    async def pair(self, *_: Any, **__: Any) -> None: ...
    async def unpair(self) -> None: ...
    async def read_gatt_descriptor(self, *_: Any, **__: Any) -> bytearray: ...  # type: ignore
    async def write_gatt_descriptor(self, *_: Any, **__: Any) -> None: ...
    async def start_notify(self, *_: Any, **__: Any) -> None: ...
    async def stop_notify(self, *_: Any, **__: Any) -> None: ...


# -- a hub -----------------------------------------------------------------------------------------


def _say(**said: str) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def _found(sighting: Sighting) -> None:
    _say(found=(sighting.beacons or b"").hex(), way=sighting.way)


async def hub(port: int, size: int) -> None:
    """Announce something by chance; look from the first line of the standard input to its end.

    Virtual controllers, unlike real ones, do not let two connect to each other at the same time.
    """
    transport = await open_tcp_client_transport(f"127.0.0.1:{port}")
    address = Address(secrets.token_bytes(5) + b"\xc0", Address.RANDOM_DEVICE_ADDRESS)
    device = Device.with_hci("hub", address, transport.source, transport.sink)
    scanner, client = backends(device)
    radio = VirtualRadio(device)
    finder = BleFinder("eager", lambda: radio, scanner=scanner, client=client)
    beacons = secrets.token_bytes(size)
    await finder.announce(Announcement(beacons, 7000, 4_102_444_800_000))
    _say(said=beacons.hex(), state=finder.status().state)
    await asyncio.to_thread(sys.stdin.readline)
    await finder.look(_found)
    await asyncio.to_thread(sys.stdin.read)
    await finder.forget()
    await transport.close()


if __name__ == "__main__":
    asyncio.run(hub(int(sys.argv[1]), int(sys.argv[2])))
