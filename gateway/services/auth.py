"""Signing up, signing in, and the life of a session: a family of refresh tokens, one spent for the next."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import structlog

from gateway.core.emails import RESERVED, is_reserved, normalise_email
from gateway.core.exceptions import (
    AccountDisabled,
    AuthenticationFailed,
    EmailTaken,
    PermissionDenied,
    TokenExpired,
    TokenInvalid,
    TokenReused,
    Unavailable,
    ValidationFailed,
)
from gateway.core.passwords import PasswordHasher, check_password
from gateway.core.tokens import AccessTokens, RefreshTokens, hash_refresh_token
from gateway.domain.account import Account, Credentials, Device, RefreshState, TokenPair
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.endings import Endings
from gateway.services.throttle import Throttle

log = structlog.get_logger(__name__)

GRACE_SECONDS = 10.0
_NOBODY = UUID(int=0)
_WRONG = "The e-mail address or the password is wrong."


class AuthService:
    """Accounts come and sessions begin and end here; nothing is hashed while a connection is held."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        endings: Endings,
        tokens: AccessTokens,
        refresh_tokens: RefreshTokens,
        passwords: PasswordHasher,
        throttle: Throttle,
        *,
        refresh_ttl_seconds: int,
        default_tier: str,
        sign_up_open: bool = True,
    ) -> None:
        self._uow = uow
        self._endings = endings
        self._tokens = tokens
        self._refresh_tokens = refresh_tokens
        self._passwords = passwords
        self._throttle = throttle
        self._refresh_ttl = refresh_ttl_seconds
        self._default_tier = default_tier
        self._sign_up_open = sign_up_open

    async def register(self, email: str, password: str, name: str, device: Device) -> Account:
        """A new account; `email` is normalised already.

        Raises:
            ValidationFailed: the password breaks the policy, or the address is reserved.
            EmailTaken: the address has an account.
            TooManyAttempts: too many were made from this network address.
            PermissionDenied: nobody may make an account here.
        """
        if not self._sign_up_open:
            raise PermissionDenied("Nobody may sign up here; ask an administrator for an account.")
        if is_reserved(email):
            raise ValidationFailed(RESERVED, param="email")
        check_password(password, email)
        await self._throttle.sign_up(device.ip)
        async with self._uow() as uow:
            if await uow.users.is_taken(email):
                raise EmailTaken(param="email")
        password_hash = await self._passwords.hash(password)
        async with self._uow() as uow:
            account = await uow.users.add(
                email=email, name=name, password_hash=password_hash, tier=self._default_tier
            )
        if account is None:
            raise EmailTaken(param="email")
        log.info("account_registered", user_id=str(account.id))
        return account

    async def login(self, email: str, password: str, device: Device) -> TokenPair:
        """A new session.

        Raises:
            AuthenticationFailed: wrong address or password, which of them is not told, nor by the time taken.
            TooManyAttempts: too many were wrong, whether or not there is such an account.
            AccountDisabled: right ones, of a disabled account.
        """
        found, known = await self._find(email, device.ip)
        await self._throttle.sign_in(email, device.ip, known=known)
        try:
            verdict = await self._passwords.verify(password, found.password_hash if found else None)
        except Unavailable:
            await self._throttle.unanswered(email, device.ip, known=known)
            raise
        if found is None or not verdict.ok:
            raise AuthenticationFailed(_WRONG)
        await self._throttle.succeeded(email, device.ip, known=known)
        secret = self._refresh_tokens.first()
        async with self._uow() as uow:
            account = await uow.users.lock(found.user_id)
            if account is None or account.password_hash != found.password_hash:
                raise AuthenticationFailed(_WRONG)  # changed while we were looking
            if account.status != "active":
                raise AccountDisabled
            if verdict.new_hash is not None:
                await uow.users.set_password(
                    account.user_id, old_hash=account.password_hash, new_hash=verdict.new_hash
                )
            await uow.refresh_tokens.delete_expired(account.user_id)
            _, session_id = await uow.refresh_tokens.add(
                user_id=account.user_id,
                token_hash=hash_refresh_token(secret),
                ttl_seconds=self._refresh_ttl,
                device=device,
            )
        return self._pair(account, session_id, secret)

    async def refresh(self, refresh_token: str, device: Device) -> TokenPair:
        """A new pair for an unspent refresh token, which is spent by it.

        Two tabs may refresh at the same time: for `GRACE_SECONDS` the token just spent yields the same
        successor again, as long as that one is unspent.

        Raises:
            TokenReused: it was spent before that; whoever holds its successor is signed out as well.
            TokenInvalid: unknown, or its session has ended. TokenExpired: too old. AccountDisabled.
        """
        token_hash = hash_refresh_token(refresh_token)
        secret = self._refresh_tokens.after(refresh_token)
        next_hash = hash_refresh_token(secret)
        async with self._uow() as uow:
            state, account = await self._lock(uow, token_hash)
            stolen = state.used and (state.revoked or state.heir != next_hash)
            if stolen:
                await uow.refresh_tokens.revoke_family(state.user_id, state.family_id)
            else:
                _refuse_dead(state, account)
                if not state.used:
                    await uow.refresh_tokens.spend(
                        state, token_hash=next_hash, ttl_seconds=self._refresh_ttl, device=device
                    )
        if stolen:
            await self._endings.sessions(state.user_id, [state.family_id])
            log.warning("refresh_token_reused", user_id=str(state.user_id), session_id=str(state.family_id))
            raise TokenReused
        return self._pair(account, state.family_id, secret)

    async def logout(self, refresh_token: str) -> None:
        """Ends the token's session, its access tokens included; a token that is none ends nothing."""
        try:
            token_hash = hash_refresh_token(refresh_token)
            async with self._uow() as uow:
                state, _ = await self._lock(uow, token_hash)
                await uow.refresh_tokens.revoke_family(state.user_id, state.family_id)
        except TokenInvalid:
            return
        await self._endings.sessions(state.user_id, [state.family_id])

    async def _find(self, email: str, address: str | None) -> tuple[Credentials | None, bool]:
        """The account, and whether it was signed in from `address` lately; as much work for none."""
        try:
            spelled = normalise_email(email)
        except ValueError:
            spelled = ""
        async with self._uow() as uow:
            found = await uow.users.credentials_by_email(spelled)
            user_id = found.user_id if found else _NOBODY
            known = address is not None and await uow.refresh_tokens.knows_address(user_id, address)
        return found, known

    async def _lock(self, uow: UnitOfWork, token_hash: bytes) -> tuple[RefreshState, Credentials]:
        """The token as it is once its account is held: two who spend it do so one after the other."""
        seen = await uow.refresh_tokens.find(token_hash)
        account = await uow.users.lock(seen.user_id) if seen else None
        state = await uow.refresh_tokens.find(token_hash, grace_seconds=GRACE_SECONDS) if account else None
        if state is None or account is None:
            raise TokenInvalid("The refresh token is not valid.")
        return state, account

    def _pair(self, account: Credentials, session_id: UUID, secret: str) -> TokenPair:
        access = self._tokens.issue(
            user_id=account.user_id,
            session_id=session_id,
            version=account.token_version,
            role=account.role,
            tier=account.tier,
        )
        return TokenPair(access_token=access, refresh_token=secret, expires_in=self._tokens.ttl_seconds)


def _refuse_dead(state: RefreshState, account: Credentials) -> None:
    if state.revoked:
        raise TokenInvalid("This session has ended; sign in again.")
    if state.expired:
        raise TokenExpired("The refresh token has expired; sign in again.")
    if account.status != "active":
        raise AccountDisabled
