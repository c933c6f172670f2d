"""BlueZ on a private D-Bus, as far as hubs use it: adapters that share one piece of air.

It enforces what radios do: 31 bytes in an advert, 512 in a value of GATT.  Values are read from and
written to whoever has registered them, over the same D-Bus.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from dbus_fast import DBusError, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

DENYING = '<deny send_destination="org.bluez"/>'
PROPERTIES = "org.freedesktop.DBus.Properties"
MANAGER = "org.freedesktop.DBus.ObjectManager"
ADAPTER, DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
SERVICE, CHARACTERISTIC = "org.bluez.GattService1", "org.bluez.GattCharacteristic1"
ADVERTISING, GATT = "org.bluez.LEAdvertisingManager1", "org.bluez.GattManager1"
_LATER = 0.02
"""Seconds after its reply that a scan has results: bleak does not see them before."""

Objects = dict[str, dict[str, dict[str, Variant]]]


class FakeBluez:
    """Answers as bluetoothd does."""

    def __init__(self, address: str, adapters: int = 2) -> None:
        self.objects: Objects = {}
        self.adverts: dict[tuple[str, str], tuple[str, dict[str, Variant]]] = {}
        self.applications: dict[str, tuple[str, Objects]] = {}
        self.connections = 0
        self.reads = 0
        self.waiting = 0
        self.refused: dict[str, str] = {}
        """Errors by the method that they answer."""
        self.hangs = False
        """Whether reads have no answer until the device has gone."""
        self._address = address
        for number in range(adapters):
            self.objects[f"/org/bluez/hci{number}"] = _adapter(number)

    async def start(self) -> None:
        self.bus = await MessageBus(bus_address=self._address).connect()
        self.bus.add_message_handler(self._answer)
        await self._ask(
            "org.freedesktop.DBus",
            "/",
            "org.freedesktop.DBus",
            "AddMatch",
            "s",
            "type='signal',member='NameOwnerChanged'",
        )
        await self.bus.request_name("org.bluez")

    async def stop(self) -> None:
        self.bus.disconnect()
        with contextlib.suppress(Exception):
            await self.bus.wait_for_disconnect()

    # -- what a test does --------------------------------------------------------------------------

    def power(self, number: int, *, on: bool) -> None:
        """Switch an adapter on or off: off, it forgets all adverts."""
        path = f"/org/bluez/hci{number}"
        if not on:
            for key in [key for key, (by, _) in self.adverts.items() if by == path]:
                self._withdraw(key)
        self._change(path, ADAPTER, Powered=Variant("b", on), Discovering=Variant("b", False))

    def vanish(self, number: int) -> None:
        """Take an adapter's device away from all others, in the middle of whatever."""
        for path in self.adapters():
            self._drop(path, f"{path}/{_device_name(number)}")

    def say(self, number: int, data: dict[str, bytes]) -> None:
        """Have some other device send this service data."""
        said = Variant("a{sv}", {key: Variant("ay", value) for key, value in data.items()})
        by = f"/org/bluez/hci{number}"
        for path in self.adapters():
            if path != by:
                self._receive(path, by, {"ServiceData": said})

    def keep(self, adapters: int, *, without: tuple[str, ...] = ()) -> None:
        """Have only the first adapters, and those without something."""
        for path in self.adapters()[adapters:]:
            del self.objects[path]
        for path in self.adapters():
            for name in without:
                self.objects[path].pop(name, None)
                if name in self.objects[path][ADAPTER]:
                    self.objects[path][ADAPTER][name] = Variant("b", False)

    def is_scanning(self) -> bool:
        return any(self.objects[path][ADAPTER]["Discovering"].value for path in self.adapters())

    def adapters(self) -> list[str]:
        return [path for path, has in self.objects.items() if ADAPTER in has]

    # -- D-Bus -------------------------------------------------------------------------------------

    def _answer(self, message: Message) -> bool:
        if message.member == "NameOwnerChanged" and not message.body[2]:
            self._left(message.body[0])
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        task = asyncio.get_running_loop().create_task(self._reply(message))
        self._keep = {*getattr(self, "_keep", ()), task}
        task.add_done_callback(lambda done: self._keep.discard(done))
        return True

    async def _reply(self, message: Message) -> None:
        try:
            if error := self.refused.get(message.member):
                raise DBusError(error, "refused")
            method = getattr(self, f"on_{message.member}", None)
            if method is None:
                raise DBusError("org.freedesktop.DBus.Error.UnknownMethod", message.member)
            if message.path != "/" and message.path not in self.objects:
                raise DBusError("org.freedesktop.DBus.Error.UnknownObject", message.path)
            signature, body = await method(message, *message.body) or ("", [])
            reply = Message.new_method_return(message, signature, body)
        except DBusError as error:
            reply = Message.new_error(message, error.type, error.text)
        if self.bus.connected:
            await self.bus.send(reply)

    async def _ask(
        self, to: str, path: str, interface: str, member: str, signature: str = "", *body: Any
    ) -> list[Any]:
        message = Message(to, path, interface, member, signature=signature, body=[*body])
        answer = await self.bus.call(message)
        assert answer is not None
        if answer.message_type is MessageType.ERROR:
            raise DBusError(answer.error_name, str(answer.body))
        return list(answer.body)

    def _signal(self, path: str, interface: str, member: str, signature: str, *body: Any) -> None:
        if self.bus.connected:
            self.bus.send(Message.new_signal(path, interface, member, signature, [*body]))

    def _add(self, path: str, has: dict[str, dict[str, Variant]]) -> None:
        self.objects[path] = has
        self._signal("/", MANAGER, "InterfacesAdded", "oa{sa{sv}}", path, has)

    def _remove(self, path: str) -> None:
        has = self.objects.pop(path)
        self._signal("/", MANAGER, "InterfacesRemoved", "oas", path, [*has])

    def _change(self, path: str, interface: str, **changed: Variant) -> None:
        self.objects[path][interface].update(changed)
        self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", interface, changed, [])

    def _left(self, client: str) -> None:
        for key in [key for key in self.adverts if key[0] == client]:
            self._withdraw(key)
        for path in [path for path, (by, _) in self.applications.items() if by == client]:
            del self.applications[path]

    # -- methods -----------------------------------------------------------------------------------

    async def on_GetManagedObjects(self, message: Message) -> Any:
        return "a{oa{sa{sv}}}", [self.objects]

    async def on_SetDiscoveryFilter(self, message: Message, said: dict[str, Variant]) -> None:
        pass

    async def on_StartDiscovery(self, message: Message) -> None:
        if not self.objects[message.path][ADAPTER]["Powered"].value:
            raise DBusError("org.bluez.Error.NotReady", "Resource Not Ready")
        self._change(message.path, ADAPTER, Discovering=Variant("b", True))
        asyncio.get_running_loop().call_later(_LATER, self.spread)

    async def on_StopDiscovery(self, message: Message) -> None:
        self._change(message.path, ADAPTER, Discovering=Variant("b", False))

    async def on_RegisterAdvertisement(self, message: Message, path: str, options: Any) -> None:
        if not self.objects[message.path][ADAPTER]["Powered"].value:
            raise DBusError("org.bluez.Error.NotReady", "Resource Not Ready")
        interface = "org.bluez.LEAdvertisement1"
        has = (await self._ask(message.sender, path, PROPERTIES, "GetAll", "s", interface))[0]
        if has["Type"].value != "peripheral" or _size(has) > 31:
            raise DBusError("org.bluez.Error.InvalidLength", "Advertising data too long")
        self.adverts[message.sender, path] = message.path, has
        self.spread()

    async def on_UnregisterAdvertisement(self, message: Message, path: str) -> None:
        if (message.sender, path) not in self.adverts:
            raise DBusError("org.bluez.Error.DoesNotExist", "Does Not Exist")
        self._withdraw((message.sender, path))

    async def on_RegisterApplication(self, message: Message, path: str, options: Any) -> None:
        has = (await self._ask(message.sender, path, MANAGER, "GetManagedObjects"))[0]
        self.applications[message.path] = message.sender, has

    async def on_Connect(self, message: Message) -> None:
        self.connections += 1
        peer = _peer(message.path)
        _, has = self.applications.get(peer, ("", {}))
        self._change(message.path, DEVICE, Connected=Variant("b", True))
        for path in sorted(has):
            if SERVICE in has[path]:
                self._add(
                    f"{message.path}/service0001",
                    {
                        SERVICE: {
                            **has[path][SERVICE],
                            "Device": Variant("o", message.path),
                            "Handle": Variant("q", 1),
                        }
                    },
                )
            elif CHARACTERISTIC in has[path]:
                self._add(
                    f"{message.path}/service0001/char0002",
                    {
                        CHARACTERISTIC: {
                            **has[path][CHARACTERISTIC],
                            "MTU": Variant("q", 517),
                            "Handle": Variant("q", 2),
                            "Service": Variant("o", f"{message.path}/service0001"),
                        }
                    },
                )
        self._change(message.path, DEVICE, ServicesResolved=Variant("b", True))

    async def on_Disconnect(self, message: Message) -> None:
        self._disconnect(message.path)

    async def on_ReadValue(self, message: Message, options: Any) -> Any:
        if self.hangs:
            await self._hang(message.path)
        self.reads += 1
        body = await self._pass_on(message, "a{sv}", {"mtu": Variant("q", 517)})
        return "ay", [bytes(body[0])[:512]]

    async def _hang(self, path: str) -> None:
        """Answer only when the device has gone."""
        self.waiting += 1
        try:
            while path in self.objects:
                await asyncio.sleep(0.005)
        finally:
            self.waiting -= 1
        raise DBusError("org.bluez.Error.Failed", "Not connected")

    async def on_WriteValue(self, message: Message, value: bytes, options: Any) -> None:
        if len(value) > 512:
            raise DBusError("org.bluez.Error.InvalidValueLength", "Invalid Length")
        await self._pass_on(message, "aya{sv}", bytes(value), {})

    async def _pass_on(self, message: Message, signature: str, *body: Any) -> list[Any]:
        """Ask whoever has registered a characteristic; they are told which device asks."""
        device = message.path.rsplit("/", 2)[0]
        peer, number = _peer(device), int(device.split("/")[3].removeprefix("hci"))
        client, has = self.applications[peer]
        path = next(path for path in has if CHARACTERISTIC in has[path])
        *first, options = body
        told = {**options, "device": Variant("o", f"{peer}/{_device_name(number)}")}
        return await self._ask(
            client, path, CHARACTERISTIC, message.member, signature, *first, told
        )

    # -- the air -----------------------------------------------------------------------------------

    def spread(self) -> None:
        for by, has in [*self.adverts.values()]:
            for path in self.adapters():
                if path != by and self.objects[path][ADAPTER]["Discovering"].value:
                    self._receive(path, by, has)

    def _receive(self, path: str, by: str, has: dict[str, Variant]) -> None:
        number = int(by.removeprefix("/org/bluez/hci"))
        device = f"{path}/{_device_name(number)}"
        if device in self.objects:
            data = {"RSSI": Variant("n", -50), "ServiceData": has["ServiceData"]}
            self._change(device, DEVICE, **data)
        else:
            self._add(device, {DEVICE: _device(path, number, has)})

    def _withdraw(self, key: tuple[str, str]) -> None:
        by, _ = self.adverts.pop(key)
        if not any(one == by for one, _ in self.adverts.values()):
            self.vanish(int(by.removeprefix("/org/bluez/hci")))

    def _disconnect(self, device: str) -> None:
        if device in self.objects and self.objects[device][DEVICE]["Connected"].value:
            off = Variant("b", False)
            self._change(device, DEVICE, ServicesResolved=off, Connected=off)
            for path in sorted(self.objects, reverse=True):
                if path.startswith(f"{device}/"):
                    self._remove(path)

    def _drop(self, path: str, device: str) -> None:
        if device in self.objects:
            self._disconnect(device)
            self._remove(device)


def _adapter(number: int) -> dict[str, dict[str, Variant]]:
    return {
        ADAPTER: {
            "Address": Variant("s", f"02:00:00:00:00:{number:02X}"),
            "Powered": Variant("b", True),
            "Discovering": Variant("b", False),
            "Roles": Variant("as", ["central", "peripheral"]),
        },
        ADVERTISING: {"SupportedInstances": Variant("y", 5)},
        GATT: {},
    }


def _device(adapter: str, number: int, has: dict[str, Variant]) -> dict[str, Variant]:
    no = Variant("b", False)
    return {
        "Address": Variant("s", f"02:00:00:00:00:{number:02X}"),
        "AddressType": Variant("s", "public"),
        "Alias": Variant("s", f"02-00-00-00-00-{number:02X}"),
        "Adapter": Variant("o", adapter),
        "RSSI": Variant("n", -50),
        "ServiceData": has["ServiceData"],
        "UUIDs": Variant("as", []),
        **dict.fromkeys(("Paired", "Bonded", "Trusted", "Blocked", "LegacyPairing"), no),
        **dict.fromkeys(("Connected", "ServicesResolved"), no),
    }


def _device_name(number: int) -> str:
    return f"dev_02_00_00_00_00_{number:02X}"


def _peer(device: str) -> str:
    return f"/org/bluez/hci{int(device.rpartition('_')[2], 16)}"


def _size(has: dict[str, Variant]) -> int:
    """Return the bytes of an advert with its flags."""
    data = has.get("ServiceData", Variant("a{sv}", {})).value
    uuids = has.get("ServiceUUIDs", Variant("as", [])).value
    return 3 + sum(2 + 16 + len(value.value) for value in data.values()) + 18 * bool(uuids)


@contextlib.asynccontextmanager
async def bluez(address: str, adapters: int = 2) -> AsyncIterator[FakeBluez]:
    fake = FakeBluez(address, adapters)
    await fake.start()
    try:
        yield fake
    finally:
        await fake.stop()
