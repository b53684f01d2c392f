"""A connection to the primary, if there is one: each host in turn, each of its addresses, within a share of the time.

libpq's own loop over hosts has no time-out when it does not block, and its look-up of a name has none at all.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

from hotconfig._apart import Apart, addresses
from hotconfig._feed import Lost, Stop
from hotconfig._refusal import unavailable
from hotconfig._wire import Wire
from hotconfig.conninfo import Target

CONNECT = 5.0  # seconds for a connection to be made, by all hosts together
ASKED = 30.0  # seconds for the application's callable, which may fetch a password from elsewhere

DEFAULTS = {
    "client_encoding": "UTF8",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}

Params = dict[str, str]


def connect(
    target: Target, application_name: str, apart: Apart, stop: Stop, deadline: float
) -> tuple[Wire, str | None]:
    """A connection to the primary, or else to a standby and why that means polling.

    Raises Unavailable that says what each address answered, and what connecting raises otherwise.
    """
    params = _params(target, apart, stop, deadline)
    per_host = _connect_timeout(params)
    if per_host is None:
        per_host = CONNECT
        deadline = min(deadline, time.monotonic() + CONNECT)
    errors: list[str] = []
    hosts = _hosts(params)
    standby: Wire | None = None
    try:
        for i, host in enumerate(hosts):
            # A host that does not answer leaves the others their share of the time.
            share = _left(deadline) / (len(hosts) - i)
            until = time.monotonic() + min(per_host, share)
            try:
                found = _addresses(host, apart, stop, until)
            except Lost as error:
                errors.append(str(error))
                continue
            for j, address in enumerate(found):
                wanted = {**DEFAULTS, **params, **host, **address, "application_name": application_name}
                try:
                    wire = Wire.connect(wanted, stop, timeout=_left(until) / (len(found) - j))
                except Lost as error:
                    errors.append(str(error).strip())
                    continue
                if wire.parameter("in_hot_standby") != "on":
                    if standby:
                        standby.close()
                    return wire, None
                if standby:
                    wire.close()
                else:
                    standby = wire
                break
    except BaseException:
        if standby:
            standby.close()
        raise
    if standby:
        return standby, "no server here is a primary, and a standby does not pass notifications on"
    raise unavailable("; ".join(dict.fromkeys(errors)), target)


def _params(target: Target, apart: Apart, stop: Stop, deadline: float) -> Params:
    if isinstance(target.conninfo, str):
        return target.connect_params()
    timeout = min(ASKED, _left(deadline))
    try:
        return apart(target.connect_params, stop=stop, timeout=timeout)
    except Lost as error:
        raise unavailable(f"asked where to connect, it gave {error}", target) from None


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _hosts(params: Mapping[str, str]) -> list[Params]:
    """One entry for each host of a multi-host conninfo."""
    lists = {name: params[name].split(",") for name in ("host", "hostaddr", "port") if params.get(name)}
    count = max([len(values) for values in lists.values()], default=1)
    if any(len(values) not in (1, count) for values in lists.values()):
        return [{}]  # libpq says what is wrong with it
    hosts = [
        {name: values[i] if len(values) > 1 else values[0] for name, values in lists.items()} for i in range(count)
    ]
    if params.get("load_balance_hosts") == "random":
        random.shuffle(hosts)
    return hosts


def _addresses(host: Params, apart: Apart, stop: Stop, deadline: float) -> list[Params]:
    """The addresses of a host that is given by its name; of any other nothing is to be found out."""
    name = host.get("host", "")
    if not name or name.startswith(("/", "@")) or "hostaddr" in host:
        return [{}]
    return [{"hostaddr": address} for address in addresses(name, apart, stop=stop, timeout=_left(deadline))]


def _connect_timeout(params: Mapping[str, str]) -> float | None:
    """Seconds for one host, if the conninfo says so; libpq itself looks at it only when it blocks."""
    given = params.get("connect_timeout", "0")
    try:
        seconds = int(given)
    except ValueError:
        raise unavailable(f"connect_timeout is {given!r}, not a whole number") from None
    return seconds if seconds > 0 else None
