"""Who counts as one client, however a proxy or a socket writes the address."""

from typing import Any

import pytest
from django.test import RequestFactory

from project.web.client_address import client_address
from project.web.throttle import network

WRITTEN = {
    "192.0.2.1": "192.0.2.1",
    " 192.0.2.1:4711 ": "192.0.2.1",
    "::ffff:192.0.2.1": "192.0.2.1",
    "[::ffff:192.0.2.1]:4711": "192.0.2.1",
    "2001:db8::1": "2001:db8::1",
    "[2001:db8::1]": "2001:db8::1",
    "[2001:db8::1]:4711": "2001:db8::1",
    "fe80::1%eth0": "fe80::1",
    "192.0.2.1:": "198.51.100.9",
    "[192.0.2.1": "198.51.100.9",
    "unknown": "198.51.100.9",
    "": "198.51.100.9",
}


def seen_as(header: str) -> Any:
    return RequestFactory().get("/", REMOTE_ADDR="198.51.100.9", headers={"X-Forwarded-For": f"10.0.0.1, {header}"})


@pytest.mark.parametrize("header", list(WRITTEN))
def test_an_address_is_read_as_proxies_write_it(header: str, settings: Any) -> None:
    settings.PROXY_HOPS = 1
    assert client_address(seen_as(header)) == WRITTEN[header]


def test_ipv4_clients_are_told_apart_also_on_a_socket_that_takes_both_kinds() -> None:
    direct = [RequestFactory().get("/", REMOTE_ADDR=f"::ffff:192.0.2.{number}") for number in (1, 2)]
    assert [network(request) for request in direct] == ["192.0.2.1", "192.0.2.2"]


def test_an_ipv6_customer_is_one_client_with_and_without_a_port(settings: Any) -> None:
    settings.PROXY_HOPS = 1
    assert {network(seen_as(each)) for each in ("2001:db8::1", "[2001:db8::2]:4711")} == {"2001:db8::/64"}
