"""A forgotten password: a token goes to the account's address, and sets a new one once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.core.emails import normalise_email
from gateway.core.exceptions import AccountDisabled, GatewayError, TokenInvalid, Unavailable
from gateway.core.mailer import Mailer
from gateway.core.passwords import PasswordHasher, check_password, has_no_password
from gateway.core.tokens import RESET_INVALID, hash_reset_token, new_reset_token
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.endings import Endings
from gateway.services.letters import deliver
from gateway.services.throttle import Throttle

log = structlog.get_logger(__name__)

LIFE_SECONDS = 3600
_MAILS_AT_ONCE = 100
_DELAY_MS = 200

_SUBJECT = "Reset your password"
_TEXT = """Somebody, you I hope, asked to reset the password of your account at LLM Gateway.

{how}

It works once, within an hour. Was it not you? Then do nothing: your password stays as it is.
"""


class PasswordResetService:
    """Asks nobody to believe an address: who reads its mail may set the password."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        passwords: PasswordHasher,
        endings: Endings,
        throttle: Throttle,
        mailer: Mailer,
        *,
        page: str = "",
    ) -> None:
        self._uow = uow
        self._passwords = passwords
        self._endings = endings
        self._throttle = throttle
        self._mailer = mailer
        self._page = page
        self._mailing: set[asyncio.Task[None]] = set()

    async def forgot(self, email: str, address: str | None) -> None:
        """Sends a token to the account's address, if there is one; takes as long if there is none.

        Raises:
            TooManyAttempts: `address` asks too often. Unavailable: too many mails are under way.
        """
        await self._throttle.mail_asked(address)
        if len(self._mailing) >= _MAILS_AT_ONCE:
            raise Unavailable(retry_after=5)
        # In a task of its own: neither the answer nor its time may tell whether there is such an account.
        task = asyncio.create_task(self._send(email))
        self._mailing.add(task)
        task.add_done_callback(self._mailing.discard)

    async def reset(self, token: str, password: str, address: str | None) -> None:
        """Sets the password and ends every session; the token is used up.

        Raises:
            TokenInvalid: it is none, too old, or used. ValidationFailed: the password breaks the policy, and
            the token may be used again. AccountDisabled.
        """
        token_hash = hash_reset_token(token)
        async with self._uow() as uow:
            owner = await uow.password_resets.owner(token_hash)
        if owner is None:
            raise TokenInvalid(RESET_INVALID)
        user_id, email = owner
        check_password(password, email)
        ended = await self._set(user_id, token_hash, await self._passwords.hash(password))
        await self._endings.everywhere(user_id, ended)
        await self._throttle.forget(email, address)
        log.info("password_reset", user_id=str(user_id), sessions_ended=len(ended))

    async def aclose(self) -> None:
        """Waits a moment for mails that are under way."""
        if self._mailing:
            _, late = await asyncio.wait(set(self._mailing), timeout=5)
            for task in late:
                task.cancel()

    async def _set(self, user_id: UUID, token_hash: bytes, password_hash: str) -> list[UUID]:
        async with self._uow() as uow:
            account = await uow.users.lock(user_id)
            if account is None or not await uow.password_resets.consume(user_id, token_hash):
                raise TokenInvalid(RESET_INVALID)  # used or replaced while we were hashing
            if account.status != "active":
                raise AccountDisabled
            await uow.users.reset_password(user_id, password_hash)
            await uow.audit.add("password.reset", actor_id=user_id, target_type="user", target_id=user_id)
            return await uow.refresh_tokens.revoke_all(user_id)

    async def _send(self, email: str) -> None:
        # Some time after the answer, or the work would be felt in it and in the next one.
        await asyncio.sleep(secrets.randbelow(_DELAY_MS) / 1000)
        try:
            letter = await self._prepare(email)
            if letter is not None:
                await self._deliver(*letter)
        except (GatewayError, SQLAlchemyError, OSError) as error:
            # Nobody waits for it: who gets no mail asks again.
            log.warning("reset_not_prepared", error=type(error).__name__)

    async def _prepare(self, email: str) -> tuple[str, str] | None:
        """(address, token) to send; None where there is no account that may use it, or it had its mails."""
        try:
            address = normalise_email(email)
        except ValueError:
            return None
        if not await self._throttle.may_mail(address):
            return None
        token = new_reset_token()
        async with self._uow() as uow:
            found = await uow.users.credentials_by_email(address)
            account = await uow.users.lock(found.user_id) if found else None
            if account is None or account.status != "active" or account.email != address:
                return None
            if has_no_password(account.password_hash):
                return None  # nobody signs in to it
            await uow.password_resets.add(account.user_id, hash_reset_token(token), LIFE_SECONDS)
        return address, token

    async def _deliver(self, address: str, token: str) -> None:
        how = f"Your token: {token}"
        if self._page:
            how = f"Open {self._page}#token={token}\n\nor use the token itself: {token}"
        await deliver(self._mailer, address, _SUBJECT, _TEXT.format(how=how), failure="reset_not_sent")
