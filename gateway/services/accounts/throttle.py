"""Throttles logins, registrations and password resets per account and address."""

from __future__ import annotations

import hmac
from ipaddress import ip_address, ip_network

from gateway.cache.failed_attempts import FailedAttemptStore
from gateway.core.email.addresses import normalize_email
from gateway.core.exceptions import TooManyAttempts
from gateway.core.security.tokens import derive_key
from gateway.domain.accounts.backoff import BackoffPolicy, BackoffSubject

# Users mistype a few times. A network address may be a whole office: it gets more attempts, and recovers
# steadily.
_LOGIN_BY_ACCOUNT = BackoffPolicy(free_attempts=5)
_LOGIN_BY_ADDRESS = BackoffPolicy(free_attempts=60, forgive_every=10.0)
# Every account has its own budget: an office may register at once, a script may not continue forever.
_REGISTRATION_BY_ADDRESS = BackoffPolicy(free_attempts=60, forgive_every=60.0)
# An e-mail that did not arrive is requested again once or twice.
_MAILS_BY_ACCOUNT = BackoffPolicy(free_attempts=3, first_delay=300.0, max_delay=3600.0, reset_after=7200)
_MAILS_BY_ADDRESS = BackoffPolicy(free_attempts=60, forgive_every=30.0)


class AccountThrottle:
    """Counts failed attempts under keyed hashes; Valkey holds no names or addresses.

    Accounts are counted by the e-mail address as entered, whether or not the account exists. A network
    address from which the account signed in recently is counted separately, so that a stranger's guesses
    cannot lock the owner out.
    """

    def __init__(self, failed_attempts: FailedAttemptStore, secret: str) -> None:
        self._failed_attempts = failed_attempts
        self._key = derive_key(secret, "throttle names")

    async def begin_login(self, email: str, address: str | None, *, known_address: bool) -> None:
        """Count an attempt before the password is checked.

        It is a failure until `login_succeeded`.

        Raises:
            TooManyAttempts: with the seconds to wait; the attempt is not counted.
        """
        await self._begin(*self._login_subjects(email, address, known_address))

    async def login_succeeded(self, email: str, address: str | None, *, known_address: bool) -> None:
        """Clear the account's failures after a correct password.

        Those of the network address stay.
        """
        account, *network = self._login_subjects(email, address, known_address)
        await self._failed_attempts.clear(account)
        for subject in network:
            await self._failed_attempts.forgive(subject)

    async def login_not_checked(self, email: str, address: str | None, *, known_address: bool) -> None:
        """Undo `begin_login` if the password was not checked."""
        for subject in self._login_subjects(email, address, known_address):
            await self._failed_attempts.forgive(subject)

    async def begin_registration(self, address: str | None) -> None:
        """Raise TooManyAttempts if this network address registers too often.

        Failed attempts count too.
        """
        if address is not None:
            await self._begin(self._subject("sign-ups-from", _network(address), _REGISTRATION_BY_ADDRESS))

    async def begin_confirmation(self, email: str) -> None:
        """Count an attempt by a signed-in user to confirm the password."""
        await self._begin(self._account_subject("confirm", email, _LOGIN_BY_ACCOUNT))

    async def confirmation_succeeded(self, email: str) -> None:
        await self._failed_attempts.clear(self._account_subject("confirm", email, _LOGIN_BY_ACCOUNT))

    async def reset_account(self, email: str, address: str | None = None) -> None:
        """Clear the failures of the account, including those from `address`."""
        for source in {"", address or ""}:
            await self._failed_attempts.clear(
                self._account_subject("sign-in", email, _LOGIN_BY_ACCOUNT, source)
            )
        await self.confirmation_succeeded(email)

    async def begin_mail_request(self, address: str | None) -> None:
        """Raise TooManyAttempts if this network address requests too many e-mails."""
        if address is not None:
            await self._begin(self._subject("mails-from", _network(address), _MAILS_BY_ADDRESS))

    async def try_begin_mail(self, email: str) -> bool:
        """Return whether the account may receive another e-mail now, and count it if so."""
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
    """Return a subscriber's network: an IPv4 address, or an IPv6 /64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
