"""How often somebody may be wrong: sign-ins and resets slowed by account and by address."""

from __future__ import annotations

import hmac
from ipaddress import ip_address, ip_network

from gateway.cache.failed_attempts import FailedAttemptStore
from gateway.core.email.addresses import normalize_email
from gateway.core.exceptions import TooManyAttempts
from gateway.core.security.tokens import derive_key
from gateway.domain.accounts.backoff import BackoffPolicy, BackoffSubject

# An account's owner mistypes a few times. An address may be an office of many: it gets more, and recovers
# all the time.
_LOGIN_BY_ACCOUNT = BackoffPolicy(free_attempts=5)
_LOGIN_BY_ADDRESS = BackoffPolicy(free_attempts=60, forgive_every=10.0)
# Accounts are made once, each with what its tier may spend: an office may come in together, a script may not
# go on.
_REGISTRATION_BY_ADDRESS = BackoffPolicy(free_attempts=60, forgive_every=60.0)
# A mail that did not come is asked for again once or twice.
_MAILS_BY_ACCOUNT = BackoffPolicy(free_attempts=3, first_delay=300.0, max_delay=3600.0, reset_after=7200)
_MAILS_BY_ADDRESS = BackoffPolicy(free_attempts=60, forgive_every=30.0)


class AccountThrottle:
    """Counts by names that are keyed hashes: nothing in Valkey tells of an account or an address.

    An account is counted by the address that was typed, whether or not there is such an account. A network
    address from which the account was signed in lately is counted apart, so that a stranger who keeps
    guessing cannot keep the owner out.
    """

    def __init__(self, failed_attempts: FailedAttemptStore, secret: str) -> None:
        self._failed_attempts = failed_attempts
        self._key = derive_key(secret, "throttle names")

    async def begin_login(self, email: str, address: str | None, *, known_address: bool) -> None:
        """To be called before a password is checked; the attempt counts as failed until `succeeded`.

        Raises:
            TooManyAttempts: with the seconds to wait; the attempt is not made and not counted.
        """
        await self._begin(*self._login_subjects(email, address, known_address))

    async def login_succeeded(self, email: str, address: str | None, *, known_address: bool) -> None:
        """The password was right: the account's failures are forgotten, the address's stay."""
        account, *network = self._login_subjects(email, address, known_address)
        await self._failed_attempts.clear(account)
        for subject in network:
            await self._failed_attempts.forgive(subject)

    async def login_not_checked(self, email: str, address: str | None, *, known_address: bool) -> None:
        """The password was not checked after all: the attempt is taken back."""
        for subject in self._login_subjects(email, address, known_address):
            await self._failed_attempts.forgive(subject)

    async def begin_registration(self, address: str | None) -> None:
        """Raises TooManyAttempts where this network address makes too many accounts; tries count as well."""
        if address is not None:
            await self._begin(self._subject("sign-ups-from", _network(address), _REGISTRATION_BY_ADDRESS))

    async def begin_confirmation(self, email: str) -> None:
        """As `sign_in`, for the password that somebody who is signed in is asked for again."""
        await self._begin(self._account_subject("confirm", email, _LOGIN_BY_ACCOUNT))

    async def confirmation_succeeded(self, email: str) -> None:
        await self._failed_attempts.clear(self._account_subject("confirm", email, _LOGIN_BY_ACCOUNT))

    async def reset_account(self, email: str, address: str | None = None) -> None:
        """Forgets the failures of the account of this e-mail address, those from `address` too."""
        for source in {"", address or ""}:
            await self._failed_attempts.clear(
                self._account_subject("sign-in", email, _LOGIN_BY_ACCOUNT, source)
            )
        await self.confirmation_succeeded(email)

    async def begin_mail_request(self, address: str | None) -> None:
        """Raises TooManyAttempts where this network address asks for too many mails."""
        if address is not None:
            await self._begin(self._subject("mails-from", _network(address), _MAILS_BY_ADDRESS))

    async def try_begin_mail(self, email: str) -> bool:
        """Whether the account may be sent another mail now; counted where it may."""
        return not await self._failed_attempts.record(
            self._account_subject("mails-to", email, _MAILS_BY_ACCOUNT)
        )

    async def _begin(self, *subjects: BackoffSubject) -> None:
        if wait := await self._failed_attempts.record(*subjects):
            raise TooManyAttempts(retry_after=wait)

    def _login_subjects(self, email: str, address: str | None, known_address: bool) -> list[BackoffSubject]:
        if address is None:
            return [self._account_subject("sign-in", email, _LOGIN_BY_ACCOUNT)]
        account = self._account_subject("sign-in", email, _LOGIN_BY_ACCOUNT, address if known_address else "")
        return [account, self._subject("sign-ins-from", _network(address), _LOGIN_BY_ADDRESS)]

    def _account_subject(
        self, kind: str, email: str, policy: BackoffPolicy, source: str = ""
    ) -> BackoffSubject:
        try:
            normalized = normalize_email(email)
        except ValueError:
            normalized = email.casefold()
        return self._subject(kind, f"{normalized}\n{source}", policy)

    def _subject(self, kind: str, identity: str, policy: BackoffPolicy) -> BackoffSubject:
        digest = hmac.digest(self._key, f"{kind}\n{identity}".encode("utf-8", "replace"), "sha256")
        return BackoffSubject(f"{kind}:{digest[:16].hex()}", policy)


def _network(address: str) -> str:
    """What one subscriber holds: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
