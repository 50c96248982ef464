"""Where users' addresses may lead."""

from __future__ import annotations

import pytest

from services.common.addresses import AddressRefusedError, PinnedResolver, UrlGuard, is_public
from services.common.errors import InvalidArgument

WEBHOOK = {"field": "webhook_url", "reason": "WEBHOOK_URL_REFUSED"}


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "192.0.0.192", "255.255.255.255", "198.18.0.1", "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8",
     "64:ff9b::a00:1", "64:ff9b:1::1", "2002:a00:1::", "2001::1", "fe80::1", "fd00::1", "ff02::1", "nonsense"],
)  # fmt: skip
def test_addresses_inside_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_addresses_of_the_internet_are(address: str) -> None:
    assert is_public(address)


def _guard(*addresses: str, allow_private: bool = False) -> UrlGuard:
    async def lookup(host: str, port: int) -> list[str]:
        if not addresses:
            raise OSError("no such host")
        return list(addresses)

    return UrlGuard(allow_private=allow_private, lookup=lookup)


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(AddressRefusedError):
        await _guard("8.8.8.8", "10.0.0.1").addresses("https://two-faced.example/")
    with pytest.raises(InvalidArgument) as refused:
        await _guard("8.8.8.8", "10.0.0.1").vet_submitted("https://two-faced.example/", **WEBHOOK)
    assert refused.value.reason == "WEBHOOK_URL_REFUSED"


async def test_plain_http_needs_permission() -> None:
    with pytest.raises(AddressRefusedError):
        await _guard("8.8.8.8").addresses("http://plain.example/")
    assert await _guard("10.0.0.1", allow_private=True).addresses("http://plain.example/") == ["10.0.0.1"]


async def test_a_name_that_resolves_later_is_accepted_now_and_vetted_when_called() -> None:
    await _guard().vet_submitted("https://later.example/", **WEBHOOK)
    with pytest.raises(OSError, match="no such host"):
        await _guard().addresses("https://later.example/")


@pytest.mark.parametrize("host", ["a" * 100 + ".example", "a..b", ".example"])
async def test_names_that_nobody_can_have_are_refused(host: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await UrlGuard(allow_private=False).vet_submitted(f"https://{host}/", **WEBHOOK)
    assert refused.value.reason == "WEBHOOK_URL_REFUSED"


async def test_a_pinned_name_has_only_the_vetted_addresses() -> None:
    found = await PinnedResolver(["8.8.8.8", "2606::1"]).resolve("changed.example", 443)
    assert [(entry["hostname"], entry["host"], entry["port"]) for entry in found] == [
        ("changed.example", "8.8.8.8", 443),
        ("changed.example", "2606::1", 443),
    ]
