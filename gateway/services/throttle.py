"""How often somebody may be wrong: sign-ins and resets slowed by account and by address."""

from __future__ import annotations

import hmac
from ipaddress import ip_address, ip_network

from gateway.cache.attempts import Attempts
from gateway.core.emails import normalise_email
from gateway.core.exceptions import TooManyAttempts
from gateway.core.tokens import derive_key
from gateway.domain.attempts import Allowance, Subject

# An account's owner mistypes a few times. An address may be an office of many: it gets more, and recovers
# all the time.
_BY_ACCOUNT = Allowance(free=5)
_BY_ADDRESS = Allowance(free=60, leak=10.0)
# Accounts are made once, each with what its tier may spend: an office may come in together, a script may not
# go on.
_SIGN_UPS_BY_ADDRESS = Allowance(free=60, leak=60.0)
# A mail that did not come is asked for again once or twice.
_MAILS_BY_ACCOUNT = Allowance(free=3, first=300.0, most=3600.0, memory=7200)
_MAILS_BY_ADDRESS = Allowance(free=60, leak=30.0)


class Throttle:
    """Counts by names that are keyed hashes: nothing in Valkey tells of an account or an address.

    An account is counted by the address that was typed, whether or not there is such an account. A network
    address from which the account was signed in lately is counted apart, so that a stranger who keeps
    guessing cannot keep the owner out.
    """

    def __init__(self, attempts: Attempts, secret: str) -> None:
        self._attempts = attempts
        self._key = derive_key(secret, "throttle names")

    async def sign_in(self, email: str, address: str | None, *, known: bool) -> None:
        """To be called before a password is checked; the attempt counts as failed until `succeeded`.

        Raises:
            TooManyAttempts: with the seconds to wait; the attempt is not made and not counted.
        """
        await self._begin(*self._sign_in(email, address, known))

    async def succeeded(self, email: str, address: str | None, *, known: bool) -> None:
        """The password was right: the account's failures are forgotten, the address's stay."""
        account, *network = self._sign_in(email, address, known)
        await self._attempts.clear(account)
        for subject in network:
            await self._attempts.refund(subject)

    async def unanswered(self, email: str, address: str | None, *, known: bool) -> None:
        """The password was not checked after all: the attempt is taken back."""
        for subject in self._sign_in(email, address, known):
            await self._attempts.refund(subject)

    async def sign_up(self, address: str | None) -> None:
        """Raises TooManyAttempts where this network address makes too many accounts; tries count as well."""
        if address is not None:
            await self._begin(self._subject("sign-ups-from", _network(address), _SIGN_UPS_BY_ADDRESS))

    async def confirm(self, email: str) -> None:
        """As `sign_in`, for the password that somebody who is signed in is asked for again."""
        await self._begin(self._account("confirm", email, _BY_ACCOUNT))

    async def confirmed(self, email: str) -> None:
        await self._attempts.clear(self._account("confirm", email, _BY_ACCOUNT))

    async def forget(self, email: str, address: str | None = None) -> None:
        """Forgets the failures of the account of this e-mail address, those from `address` too."""
        for apart in {"", address or ""}:
            await self._attempts.clear(self._account("sign-in", email, _BY_ACCOUNT, apart))
        await self.confirmed(email)

    async def mail_asked(self, address: str | None) -> None:
        """Raises TooManyAttempts where this network address asks for too many mails."""
        if address is not None:
            await self._begin(self._subject("mails-from", _network(address), _MAILS_BY_ADDRESS))

    async def may_mail(self, email: str) -> bool:
        """Whether the account may be sent another mail now; counted where it may."""
        return not await self._attempts.begin(self._account("mails-to", email, _MAILS_BY_ACCOUNT))

    async def _begin(self, *subjects: Subject) -> None:
        if wait := await self._attempts.begin(*subjects):
            raise TooManyAttempts(retry_after=wait)

    def _sign_in(self, email: str, address: str | None, known: bool) -> list[Subject]:
        if address is None:
            return [self._account("sign-in", email, _BY_ACCOUNT)]
        account = self._account("sign-in", email, _BY_ACCOUNT, address if known else "")
        return [account, self._subject("sign-ins-from", _network(address), _BY_ADDRESS)]

    def _account(self, what: str, email: str, allowance: Allowance, apart: str = "") -> Subject:
        try:
            spelled = normalise_email(email)
        except ValueError:
            spelled = email.casefold()
        return self._subject(what, f"{spelled}\n{apart}", allowance)

    def _subject(self, what: str, whom: str, allowance: Allowance) -> Subject:
        digest = hmac.digest(self._key, f"{what}\n{whom}".encode("utf-8", "replace"), "sha256")
        return Subject(f"{what}:{digest[:16].hex()}", allowance)


def _network(address: str) -> str:
    """What one subscriber holds: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
