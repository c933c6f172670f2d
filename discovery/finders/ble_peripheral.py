"""Advertising and serving pages through BlueZ, which knows hubs as D-Bus objects of ours.

BlueZ asks us for the objects and forgets them when our connection closes, so nothing outlives this
process.  Which offset a device reads from is kept for each device, with the stream as it was when
the device began, so that no reader gets half of an old stream and half of a new one.
"""

import asyncio
import configparser
import logging
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from bleak.backends.bluezdbus.version import BlueZFeatures
from dbus_fast import BusType, DBusError, Message, MessageType, PropertyAccess, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import (
    DBusBool,
    DBusBytes,
    DBusDict,
    DBusObjectPath,
    DBusSignature,
    DBusStr,
)
from dbus_fast.errors import AuthError, InvalidAddressError
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

from discovery.core import advert
from discovery.core.advert import BadAdvert
from discovery.finders.ble_radio import (
    DENIED,
    GONE,
    NO_ADAPTER,
    NO_ADVERTS,
    NO_BLUEZ,
    NO_BUS,
    PUBLIC,
    REFUSED,
    SWITCHED_OFF,
    TOO_OLD,
    Trouble,
    Words,
)

logger = logging.getLogger(__name__)

BLUEZ: Final = "org.bluez"
_ROOT: Final = "/org/thali/hub"
_SERVICE: Final = f"{_ROOT}/service"
_MANAGER: Final = "org.freedesktop.DBus.ObjectManager"
_ADVERTS: Final = "org.bluez.LEAdvertisingManager1"
_GATT: Final = "org.bluez.GattManager1"
_ADAPTER: Final = "org.bluez.Adapter1"
_CONFIG: Final = Path("/etc/bluetooth/main.conf")
_ANSWER_SECONDS = 5.0
_MOST_READERS = 32
_DENIALS: Final = (
    "org.freedesktop.DBus.Error.AccessDenied",
    "org.bluez.Error.NotPermitted",
    "org.bluez.Error.NotAuthorized",
)
_ABSENCES: Final = (
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
)
_MATCHES: Final = (
    f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{BLUEZ}'",
    f"type='signal',sender='{BLUEZ}',member='InterfacesRemoved'",
    f"type='signal',sender='{BLUEZ}',member='PropertiesChanged',arg0='{_ADAPTER}'",
)


class Pages:
    """The stream, and who has read how far; at most 32 readers are remembered."""

    def __init__(self) -> None:
        self.stream = b""
        self._readers: OrderedDict[str, tuple[bytes, int]] = OrderedDict()

    def seek(self, device: str, data: bytes) -> None:
        """Go on there for this device; raises BadAdvert."""
        offset = advert.read_offset(data)
        stream, _ = self._readers.pop(device, (self.stream, 0))
        self._readers[device] = (self.stream if offset == 0 else stream, offset)
        while len(self._readers) > _MOST_READERS:
            self._readers.popitem(last=False)

    def read(self, device: str) -> bytes:
        """Return the page for this device."""
        return advert.page(*self._readers.get(device, (self.stream, 0)))


class _Advertisement(ServiceInterface):
    """What BlueZ sends into the air; properties that it does not find it leaves out."""

    def __init__(self, data: bytes, released: asyncio.Event) -> None:
        super().__init__("org.bluez.LEAdvertisement1")
        self._data, self._released = data, released

    @dbus_method(name="Release")
    def release(self) -> None:
        self._released.set()

    @dbus_property(access=PropertyAccess.READ, name="Type")
    def type(self) -> DBusStr:
        return "peripheral"

    @dbus_property(access=PropertyAccess.READ, name="ServiceData")
    def service_data(self) -> DBusDict:
        return {advert.SERVICE: Variant("ay", self._data)}


class _Service(ServiceInterface):
    def __init__(self) -> None:
        super().__init__("org.bluez.GattService1")

    @dbus_property(access=PropertyAccess.READ, name="UUID")
    def uuid(self) -> DBusStr:
        return advert.SERVICE

    @dbus_property(access=PropertyAccess.READ, name="Primary")
    def primary(self) -> DBusBool:
        return True


class _Characteristic(ServiceInterface):
    def __init__(self, pages: Pages) -> None:
        super().__init__("org.bluez.GattCharacteristic1")
        self._pages = pages

    @dbus_property(access=PropertyAccess.READ, name="UUID")
    def uuid(self) -> DBusStr:
        return advert.PAGES

    @dbus_property(access=PropertyAccess.READ, name="Service")
    def service(self) -> DBusObjectPath:
        return _SERVICE

    @dbus_property(access=PropertyAccess.READ, name="Flags")
    def flags(self) -> Annotated[list[str], DBusSignature("as")]:
        return ["read", "write"]

    @dbus_method(name="ReadValue")
    def read_value(self, options: DBusDict) -> DBusBytes:
        # What is longer than one packet is asked for in parts, each with its place in the value.
        return self._pages.read(_device(options))[int(_option(options, "offset", 0)) :]

    @dbus_method(name="WriteValue")
    def write_value(self, value: DBusBytes, options: DBusDict) -> None:
        try:
            self._pages.seek(_device(options), value)
        except BadAdvert:
            raise DBusError(
                "org.bluez.Error.InvalidValueLength", "An offset has two bytes."
            ) from None


def _device(options: Mapping[str, Variant]) -> str:
    return str(_option(options, "device", ""))


def _option(options: Mapping[str, Variant], name: str, default: Any) -> Any:
    return options[name].value if name in options else default


class BluezPeripheral:
    """One adapter, one advert at a time; made anew when BlueZ or the adapter has gone."""

    def __init__(self, adapter: str = "", config: Path = _CONFIG) -> None:
        """`adapter` is a name such as `hci0`; empty: the first that can do it."""
        self.adapter = adapter
        self._config = config
        self._bus: MessageBus | None = None
        self._gone = asyncio.Event()
        self._pages = Pages()
        self._path = ""
        self._advert = ""
        self._number = 0
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Have BlueZ know our service; raises Trouble."""
        await BlueZFeatures.check_bluez_version()
        if not BlueZFeatures.supported_version:
            raise Trouble(TOO_OLD)
        bus = await self._connect()
        bus.add_message_handler(self._noted)
        for match in _MATCHES:
            await self._call(
                "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", match
            )
        self._path = _chosen(
            (await self._call("/", _MANAGER, "GetManagedObjects"))[0], self.adapter
        )
        self.adapter = self._path.rpartition("/")[2]
        bus.export(_SERVICE, _Service())
        bus.export(f"{_SERVICE}/pages", _Characteristic(self._pages))
        await self._call(self._path, _GATT, "RegisterApplication", "oa{sv}", _ROOT, {})

    async def _connect(self) -> MessageBus:
        try:
            self._bus = MessageBus(bus_type=BusType.SYSTEM)
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._bus.connect()
        except (AuthError, PermissionError):
            raise Trouble(DENIED) from None
        except (OSError, EOFError, TimeoutError, InvalidAddressError, ValueError):
            raise Trouble(NO_BUS) from None
        self._watching = asyncio.create_task(self._watch(self._bus))
        return self._bus

    async def _watch(self, bus: MessageBus) -> None:
        try:
            await bus.wait_for_disconnect()
        except (OSError, EOFError) as error:
            logger.info("The system's bus has gone: %s", error)
        self._gone.set()

    async def serve(self, data: bytes, stream: bytes) -> None:
        """Send this advert instead of the one before, and hand out this stream; raises Trouble."""
        await self.silence()
        assert self._bus is not None
        self._pages.stream = stream
        self._number += 1
        path = f"{_ROOT}/advert{self._number}"
        self._bus.export(path, _Advertisement(data, self._gone))
        self._advert = path
        await self._call(self._path, _ADVERTS, "RegisterAdvertisement", "oa{sv}", path, {})

    async def silence(self) -> None:
        """Send nothing, and hand out nothing; raises Trouble."""
        self._pages.stream = b""
        path, self._advert = self._advert, ""
        if path and self._bus is not None:
            self._bus.unexport(path)
            await self._call(self._path, _ADVERTS, "UnregisterAdvertisement", "o", path)

    async def gone(self) -> None:
        """Wait until BlueZ, its adapter or the bus is there no more."""
        await self._gone.wait()

    async def close(self) -> None:
        """Let BlueZ forget us: it does when the connection closes."""
        if self._bus is not None:
            self._bus.disconnect()
        if self._watching is not None:
            await asyncio.wait({self._watching})

    @property
    def warning(self) -> Words | None:
        """What a person should know although it works."""
        return None if has_privacy(self._config) else PUBLIC

    # -- D-Bus ---------------------------------------------------------------------------------

    async def _call(
        self, path: str, interface: str, member: str, signature: str = "", *body: Any
    ) -> list[Any]:
        assert self._bus is not None
        to = interface if interface == "org.freedesktop.DBus" else BLUEZ
        message = Message(to, path, interface, member, signature=signature, body=[*body])
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await self._bus.call(message)
        except (OSError, EOFError, TimeoutError):
            raise Trouble(GONE) from None
        if answer is None or answer.message_type is MessageType.ERROR:
            raise _trouble(answer)
        return list(answer.body)

    def _noted(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL or not self._path:
            return
        body = message.body
        if (
            message.member == "NameOwnerChanged"
            or (message.member == "InterfacesRemoved" and body[0] == self._path)
            or (message.member == "PropertiesChanged" and _is_off(message, self._path))
        ):
            self._gone.set()


def _is_off(message: Message, path: str) -> bool:
    powered = message.body[1].get("Powered")
    return message.path == path and powered is not None and not powered.value


def _chosen(objects: Mapping[str, Mapping[str, Any]], wanted: str) -> str:
    """Return the adapter's path; raises Trouble."""
    adapters = {
        path: has
        for path, has in sorted(objects.items())
        if _ADAPTER in has and wanted in ("", path.rpartition("/")[2])
    }
    if not adapters:
        raise Trouble(NO_ADAPTER)
    powered = {path: has for path, has in adapters.items() if has[_ADAPTER]["Powered"].value}
    if not powered:
        raise Trouble(SWITCHED_OFF)
    for path, has in powered.items():
        if _ADVERTS in has and _GATT in has:
            return path
    raise Trouble(NO_ADVERTS)


def _trouble(answer: Message | None) -> Trouble:
    name = answer.error_name if answer is not None else ""
    logger.info("Bluetooth: %s", answer.body if answer is not None else "no answer")
    if name in _DENIALS:
        return Trouble(DENIED)
    return Trouble(NO_BLUEZ if name in _ABSENCES else REFUSED)


def has_privacy(config: Path) -> bool:
    """Tell whether BlueZ is told to hide the adapter's own address."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        parser.read_string(config.read_text())
        said = parser.get("General", "Privacy", fallback="off")
    except (OSError, UnicodeDecodeError, configparser.Error):
        return False
    return said.strip().lower() in ("device", "network", "network/on", "limited-device")
