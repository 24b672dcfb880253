"""Password reset: e-mails a single-use token that sets a new password."""

from __future__ import annotations

import asyncio
import secrets
from uuid import UUID

import structlog

from gateway.core.aio import TRANSIENT_ERRORS, BackgroundTasks
from gateway.core.email.addresses import normalize_email
from gateway.core.email.mailer import Mailer
from gateway.core.exceptions import AccountDisabled, TokenInvalid, Unavailable
from gateway.core.security.passwords import PasswordHasher, check_password, is_unusable_hash
from gateway.core.security.tokens import INVALID_RESET_TOKEN, hash_reset_token, new_reset_token
from gateway.repositories.unit_of_work import UnitOfWorkFactory
from gateway.services.accounts.notices import send_with_retry
from gateway.services.accounts.revocation import RevocationService
from gateway.services.accounts.throttle import AccountThrottle

log = structlog.get_logger(__name__)

TOKEN_TTL_SECONDS = 3600
_MAX_CONCURRENT_MAILS = 100
_MAX_DELAY_MS = 200
_GRACE_SECONDS = 5.0

_SUBJECT = "Reset your password"
_TEXT = """You or someone else asked to reset the password of your account at LLM Gateway.

{instructions}

The token works once, within one hour. If you did not ask for it, ignore this e-mail: your password stays
unchanged.

"""


class PasswordResetService:
    """Resets passwords by e-mail.

    Access to the mailbox proves ownership of the account.
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        passwords: PasswordHasher,
        revocation: RevocationService,
        throttle: AccountThrottle,
        mailer: Mailer,
        *,
        reset_url: str = "",
    ) -> None:
        self._uow = uow
        self._passwords = passwords
        self._revocation = revocation
        self._throttle = throttle
        self._mailer = mailer
        self._reset_url = reset_url
        self._tasks = BackgroundTasks()

    async def request_reset(self, email: str, address: str | None) -> None:
        """E-mail a reset token if the account exists; takes as long if it does not.

        Raises:
            TooManyAttempts: too many requests from this network address.
            Unavailable: too many e-mails are pending.
        """
        await self._throttle.begin_mail_request(address)
        if len(self._tasks) >= _MAX_CONCURRENT_MAILS:
            raise Unavailable(retry_after=5)
        # Sent in the background: neither the response nor its time may reveal whether the account exists.
        self._tasks.spawn(self._send_delayed(email))

    async def reset(self, token: str, password: str, address: str | None) -> None:
        """Set the password, revoke every session and invalidate the token.

        Raises:
            TokenInvalid: the token is unknown, expired or used.
            ValidationFailed: the password breaks the policy; the token stays valid.
            AccountDisabled: the account is disabled.
        """
        token_hash = hash_reset_token(token)
        async with self._uow() as uow:
            owner = await uow.password_resets.get_account(token_hash)
        if owner is None:
            raise TokenInvalid(INVALID_RESET_TOKEN)
        user_id, email = owner
        check_password(password, email)
        revoked_sessions = await self._apply_reset(user_id, token_hash, await self._passwords.hash(password))
        await self._revocation.revoke_all_sessions(user_id, revoked_sessions)
        await self._throttle.reset_account(email, address)
        log.info("password.reset", user_id=str(user_id), sessions_ended=len(revoked_sessions))

    async def aclose(self) -> None:
        """Wait briefly for pending e-mails, then cancel them."""
        await self._tasks.drain(_GRACE_SECONDS)

    async def _apply_reset(self, user_id: UUID, token_hash: bytes, password_hash: str) -> list[UUID]:
        async with self._uow() as uow:
            account = await uow.users.lock(user_id)
            if account is None or not await uow.password_resets.consume(user_id, token_hash):
                raise TokenInvalid(INVALID_RESET_TOKEN)  # used or replaced since it was read
            if account.status != "active":
                raise AccountDisabled
            await uow.users.reset_password(user_id, password_hash)
            await uow.audit.add("password.reset", actor_id=user_id, target_type="user", target_id=user_id)
            return await uow.refresh_tokens.revoke_all(user_id)

    async def _send_delayed(self, email: str) -> None:
        # Delayed, so that the work does not show in the timing of this response or the next.
        await asyncio.sleep(secrets.randbelow(_MAX_DELAY_MS) / 1000)
        try:
            address_and_token = await self._create_token(email)
            if address_and_token is not None:
                await self._send_mail(*address_and_token)
        except TRANSIENT_ERRORS as error:
            # The user can request another e-mail.
            log.warning("password_reset.failed", error=type(error).__name__)

    async def _create_token(self, email: str) -> tuple[str, str] | None:
        """Return (address, token), or None if no e-mail may be sent."""
        try:
            address = normalize_email(email)
        except ValueError:
            return None
        if not await self._throttle.try_begin_mail(address):
            return None
        token = new_reset_token()
        async with self._uow() as uow:
            credentials = await uow.users.get_credentials_by_email(address)
            account = await uow.users.lock(credentials.user_id) if credentials else None
            if account is None or account.status != "active" or account.email != address:
                return None
            if is_unusable_hash(account.password_hash):
                return None  # an account without password login
            await uow.password_resets.add(account.user_id, hash_reset_token(token), TOKEN_TTL_SECONDS)
        return address, token

    async def _send_mail(self, address: str, token: str) -> None:
        instructions = f"Your token: {token}"
        if self._reset_url:
            instructions = f"Open {self._reset_url}#token={token}\n\nor use this token: {token}"
        await send_with_retry(
            self._mailer,
            address,
            _SUBJECT,
            _TEXT.format(instructions=instructions),
            failure_event="password_reset.send_failed",
        )
