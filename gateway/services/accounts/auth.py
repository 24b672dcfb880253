"""Registration, login, and the refresh tokens that make up a session."""

from __future__ import annotations

from uuid import UUID

import structlog

from gateway.core.email.addresses import RESERVED_MESSAGE, is_reserved_email, normalize_email
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
from gateway.core.security.passwords import PasswordHasher, check_password
from gateway.core.security.tokens import AccessTokens, RefreshTokens, hash_refresh_token
from gateway.domain.accounts.models import Account, ClientDevice, Credentials, RefreshTokenState, TokenPair
from gateway.repositories.unit_of_work import UnitOfWork, UnitOfWorkFactory
from gateway.services.accounts.revocation import RevocationService
from gateway.services.accounts.throttle import AccountThrottle

log = structlog.get_logger(__name__)

REUSE_GRACE_SECONDS = 10.0
_NO_ACCOUNT = UUID(int=0)
_WRONG_CREDENTIALS = "The e-mail address or the password is wrong."


class AuthService:
    """Registers accounts and starts, renews and ends sessions.

    No connection is held while hashing.
    """

    # One parameter per collaborator or setting; only the composition root calls it.
    def __init__(
        self,
        uow: UnitOfWorkFactory,
        revocation: RevocationService,
        tokens: AccessTokens,
        refresh_tokens: RefreshTokens,
        passwords: PasswordHasher,
        throttle: AccountThrottle,
        *,
        refresh_ttl_seconds: int,
        default_tier: str,
        sign_up_open: bool = True,
    ) -> None:
        self._uow = uow
        self._revocation = revocation
        self._tokens = tokens
        self._refresh_tokens = refresh_tokens
        self._passwords = passwords
        self._throttle = throttle
        self._refresh_ttl = refresh_ttl_seconds
        self._default_tier = default_tier
        self._sign_up_open = sign_up_open

    async def register(self, email: str, password: str, name: str, device: ClientDevice) -> Account:
        """Register an account; `email` is already normalized.

        Raises:
            ValidationFailed: the password breaks the policy, or the address is reserved.
            EmailTaken: the address belongs to an account.
            TooManyAttempts: too many registrations from this network address.
            PermissionDenied: registration is closed.
        """
        if not self._sign_up_open:
            raise PermissionDenied("Registration is closed. Ask an administrator for an account.")
        if is_reserved_email(email):
            raise ValidationFailed(RESERVED_MESSAGE, param="email")
        check_password(password, email)
        await self._throttle.begin_registration(device.ip)
        async with self._uow() as uow:
            if await uow.users.email_exists(email):
                raise EmailTaken(param="email")
        password_hash = await self._passwords.hash(password)
        async with self._uow() as uow:
            account = await uow.users.add(
                email=email, name=name, password_hash=password_hash, tier=self._default_tier
            )
        if account is None:
            raise EmailTaken(param="email")
        log.info("account.registered", user_id=str(account.id))
        return account

    async def login(self, email: str, password: str, device: ClientDevice) -> TokenPair:
        """Start a session.

        Raises:
            AuthenticationFailed: the address or the password is wrong. Neither the message nor the response
                time reveals which.
            TooManyAttempts: too many failed logins, whether or not the account exists.
            AccountDisabled: the credentials are right, but the account is disabled.
        """
        credentials, known_address = await self._find_account(email, device.ip)
        await self._throttle.begin_login(email, device.ip, known_address=known_address)
        try:
            verified = await self._passwords.verify(
                password, credentials.password_hash if credentials else None
            )
        except Unavailable:
            await self._throttle.login_not_checked(email, device.ip, known_address=known_address)
            raise
        if credentials is None or not verified.ok:
            raise AuthenticationFailed(_WRONG_CREDENTIALS)
        await self._throttle.login_succeeded(email, device.ip, known_address=known_address)
        secret = self._refresh_tokens.new()
        async with self._uow() as uow:
            account = await uow.users.lock(credentials.user_id)
            if account is None or account.password_hash != credentials.password_hash:
                raise AuthenticationFailed(_WRONG_CREDENTIALS)  # changed since it was read
            if account.status != "active":
                raise AccountDisabled
            if verified.new_hash is not None:
                await uow.users.set_password(
                    account.user_id, old_hash=account.password_hash, new_hash=verified.new_hash
                )
            await uow.refresh_tokens.delete_expired(account.user_id)
            _, session_id = await uow.refresh_tokens.add(
                user_id=account.user_id,
                token_hash=hash_refresh_token(secret),
                ttl_seconds=self._refresh_ttl,
                device=device,
            )
        return self._issue_pair(account, session_id, secret)

    async def refresh(self, refresh_token: str, device: ClientDevice) -> TokenPair:
        """Exchange an unused refresh token for a new token pair.

        Two browser tabs may refresh at the same time: for `REUSE_GRACE_SECONDS` a used token returns the same
        successor again, as long as that successor is unused.

        Raises:
            TokenReused: the token was used before the grace period; the whole session is revoked.
            TokenInvalid: the token is unknown, or its session has ended.
            TokenExpired: the token is too old.
            AccountDisabled: the account is disabled.
        """
        token_hash = hash_refresh_token(refresh_token)
        secret = self._refresh_tokens.successor(refresh_token)
        next_hash = hash_refresh_token(secret)
        async with self._uow() as uow:
            state, account = await self._lock_token(uow, token_hash)
            reused = state.used and (state.revoked or state.successor_hash != next_hash)
            if reused:
                await uow.refresh_tokens.revoke_family(state.user_id, state.family_id)
            else:
                _require_usable(state, account)
                if not state.used:
                    await uow.refresh_tokens.rotate(
                        state, token_hash=next_hash, ttl_seconds=self._refresh_ttl, device=device
                    )
        if reused:
            await self._revocation.revoke_sessions(state.user_id, [state.family_id])
            log.warning("session.token_reused", user_id=str(state.user_id), session_id=str(state.family_id))
            raise TokenReused
        return self._issue_pair(account, state.family_id, secret)

    async def logout(self, refresh_token: str) -> None:
        """End the token's session and its access tokens; an invalid token is ignored."""
        try:
            token_hash = hash_refresh_token(refresh_token)
            async with self._uow() as uow:
                state, _ = await self._lock_token(uow, token_hash)
                await uow.refresh_tokens.revoke_family(state.user_id, state.family_id)
        except TokenInvalid:
            return
        await self._revocation.revoke_sessions(state.user_id, [state.family_id])

    async def _find_account(self, email: str, address: str | None) -> tuple[Credentials | None, bool]:
        """Return the account and whether `address` was used lately.

        Takes as long for an unknown account.
        """
        try:
            normalized = normalize_email(email)
        except ValueError:
            normalized = ""
        async with self._uow() as uow:
            credentials = await uow.users.get_credentials_by_email(normalized)
            user_id = credentials.user_id if credentials else _NO_ACCOUNT
            known_address = address is not None and await uow.refresh_tokens.has_used_address(
                user_id, address
            )
        return credentials, known_address

    async def _lock_token(self, uow: UnitOfWork, token_hash: bytes) -> tuple[RefreshTokenState, Credentials]:
        """Read the token with its account locked, which serializes concurrent refreshes."""
        unlocked = await uow.refresh_tokens.find(token_hash)
        account = await uow.users.lock(unlocked.user_id) if unlocked else None
        state = (
            await uow.refresh_tokens.find(token_hash, grace_seconds=REUSE_GRACE_SECONDS) if account else None
        )
        if state is None or account is None:
            raise TokenInvalid("The refresh token is not valid.")
        return state, account

    def _issue_pair(self, account: Credentials, session_id: UUID, secret: str) -> TokenPair:
        access = self._tokens.issue(
            user_id=account.user_id,
            session_id=session_id,
            version=account.token_version,
            role=account.role,
            tier=account.tier,
        )
        return TokenPair(access_token=access, refresh_token=secret, expires_in=self._tokens.ttl_seconds)


def _require_usable(state: RefreshTokenState, account: Credentials) -> None:
    if state.revoked:
        raise TokenInvalid("This session has ended. Sign in again.")
    if state.expired:
        raise TokenExpired("The refresh token has expired. Sign in again.")
    if account.status != "active":
        raise AccountDisabled
