"""Accounts: profile, e-mail address and password."""

from __future__ import annotations

from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError

from gateway.core.email.addresses import RESERVED_MESSAGE, is_reserved_email, normalize_email
from gateway.core.exceptions import AuthenticationFailed, EmailTaken, NotFound, ValidationFailed
from gateway.core.security.passwords import PasswordHasher, check_password
from gateway.domain.accounts.models import Account, Credentials
from gateway.repositories.unit_of_work import UnitOfWorkFactory
from gateway.services.accounts.environment_keys import ACCOUNT_EMAIL
from gateway.services.accounts.notices import AccountNotifier
from gateway.services.accounts.revocation import RevocationService
from gateway.services.accounts.throttle import AccountThrottle

log = structlog.get_logger(__name__)

_PASSWORD_REQUIRED = "Enter the current password to change the e-mail address."  # noqa: S105 - a message
_WRONG_PASSWORD = "The password is wrong."  # noqa: S105 - a message


class UserService:
    """Account operations of its owner and of the operator's command line."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        passwords: PasswordHasher,
        revocation: RevocationService,
        throttle: AccountThrottle,
        notifier: AccountNotifier,
        *,
        operator_tier: str,
    ) -> None:
        self._notifier = notifier
        self._operator_tier = operator_tier
        self._uow = uow
        self._passwords = passwords
        self._revocation = revocation
        self._throttle = throttle

    async def get(self, user_id: UUID) -> Account:
        """Return the account. Raises NotFound if it does not exist."""
        async with self._uow() as uow:
            return _require_found(await uow.users.get(user_id))

    async def count(self) -> int:
        async with self._uow() as uow:
            return await uow.users.count()

    async def find_by_email(self, email: str) -> Account:
        """Find an account by e-mail address.

        Raises NotFound, or ValidationFailed for a malformed address.
        """
        async with self._uow() as uow:
            credentials = await uow.users.get_credentials_by_email(_normalize_address(email))
            return _require_found(await uow.users.get(credentials.user_id) if credentials else None)

    async def update_profile(
        self,
        user_id: UUID,
        *,
        session_id: UUID | None = None,
        name: str | None = None,
        email: str | None = None,
        password: str | None = None,
    ) -> Account:
        """Change the given fields; `email` is already normalized.

        A new address requires the password. It revokes every session but `session_id`, invalidates reset
        tokens and notifies the old address.

        Raises:
            ValidationFailed: the password is missing, or the address is reserved.
            AuthenticationFailed: the password is wrong.
            TooManyAttempts: it was wrong too often.
            EmailTaken: the address belongs to another account.
            NotFound: the account does not exist.
        """
        account = await self.get(user_id)
        if email is not None and email != account.email:
            account = await self._change_email(user_id, session_id, email, password)
        if name is None:
            return account
        async with self._uow() as uow:
            return _require_found(await uow.users.update_profile(user_id, name=name, email=None))

    async def _change_email(
        self, user_id: UUID, session_id: UUID | None, email: str, password: str | None
    ) -> Account:
        if is_reserved_email(email):
            raise ValidationFailed(RESERVED_MESSAGE, param="email")
        if password is None:
            raise ValidationFailed(_PASSWORD_REQUIRED, param="current_password")
        credentials = await self.confirm_password(user_id, password)
        try:
            async with self._uow() as uow:
                locked = await uow.users.lock(user_id)
                if locked is None or locked.password_hash != credentials.password_hash:
                    raise AuthenticationFailed(_WRONG_PASSWORD)  # changed since it was read
                account = _require_found(await uow.users.update_profile(user_id, name=None, email=email))
                revoked_sessions = await uow.refresh_tokens.revoke_all(user_id, keep=session_id)
                # Tokens sent to the old address must stop working.
                await uow.password_resets.delete_for(user_id)
                await uow.audit.add("email.changed", actor_id=user_id, target_type="user", target_id=user_id)
        except IntegrityError:
            # The address is the only unique column here.
            raise EmailTaken(param="email") from None
        await self._revocation.revoke_sessions(user_id, revoked_sessions, current=session_id)
        self._notifier.notify_email_changed(credentials.email)
        log.info("account.email_changed", user_id=str(user_id), sessions_ended=len(revoked_sessions))
        return account

    async def change_password(
        self, user_id: UUID, *, session_id: UUID | None, current: str, new: str
    ) -> None:
        """Set a new password and revoke every session but `session_id`.

        Running turns of signed-in users are cancelled in every session; reset tokens become invalid.

        Raises:
            AuthenticationFailed: `current` is wrong.
            TooManyAttempts: it was wrong too often.
            ValidationFailed: `new` breaks the policy.
        """
        credentials = await self.confirm_password(user_id, current)
        check_password(new, credentials.email, param="new_password")
        new_hash = await self._passwords.hash(new)
        async with self._uow() as uow:
            await uow.users.lock(user_id)
            if not await uow.users.set_password(
                user_id, old_hash=credentials.password_hash, new_hash=new_hash
            ):
                raise AuthenticationFailed(_WRONG_PASSWORD)  # changed since it was read
            revoked_sessions = await uow.refresh_tokens.revoke_all(user_id, keep=session_id)
            await uow.password_resets.delete_for(user_id)
            await uow.audit.add("password.changed", actor_id=user_id, target_type="user", target_id=user_id)
        await self._revocation.revoke_sessions(user_id, revoked_sessions, current=session_id)
        log.info("account.password_changed", user_id=str(user_id), sessions_ended=len(revoked_sessions))

    async def create_admin(self, email: str, password: str, name: str = "") -> Account:
        """Create an administrator account.

        Raises:
            ValidationFailed: the address or the password is not acceptable.
            EmailTaken: the address belongs to an account.
        """
        address = _normalize_address(email)
        if address == ACCOUNT_EMAIL:
            raise ValidationFailed(f"{ACCOUNT_EMAIL} is reserved for GATEWAY_API_KEYS.", param="email")
        check_password(password, address)
        password_hash = await self._passwords.hash(password)
        async with self._uow() as uow:
            account = await uow.users.add(
                email=address, name=name, password_hash=password_hash, role="admin", tier=self._operator_tier
            )
            if account is not None:
                await uow.audit.add("admin.created", actor_id=None, target_type="user", target_id=account.id)
        if account is None:
            raise EmailTaken(param="email")
        return account

    async def set_password(self, email: str, password: str) -> None:
        """Set an account's password and revoke its sessions, for the operator's command line.

        Raises:
            NotFound: no account has the address.
            ValidationFailed: the address or the password is not acceptable.
        """
        account = await self.find_by_email(email)
        check_password(password, account.email)
        new_hash = await self._passwords.hash(password)
        async with self._uow() as uow:
            if await uow.users.lock(account.id) is None:
                raise NotFound
            await uow.users.reset_password(account.id, new_hash)
            revoked_sessions = await uow.refresh_tokens.revoke_all(account.id)
            await uow.password_resets.delete_for(account.id)
            await uow.audit.add("password.reset", actor_id=None, target_type="user", target_id=account.id)
        await self._revocation.revoke_all_sessions(account.id, revoked_sessions)
        await self._throttle.reset_account(account.email, None)
        log.info("account.password_set", user_id=str(account.id), sessions_ended=len(revoked_sessions))

    async def confirm_password(self, user_id: UUID, password: str) -> Credentials:
        """Check the account owner's password and return the credentials.

        Raises:
            NotFound: the account does not exist.
            AuthenticationFailed: the password is wrong.
            TooManyAttempts: it was wrong too often.
        """
        async with self._uow() as uow:
            credentials = await uow.users.get_credentials(user_id)
        if credentials is None:
            raise NotFound
        await self._throttle.begin_confirmation(credentials.email)
        if not (await self._passwords.verify(password, credentials.password_hash)).ok:
            raise AuthenticationFailed(_WRONG_PASSWORD)
        await self._throttle.confirmation_succeeded(credentials.email)
        return credentials


def _require_found(account: Account | None) -> Account:
    if account is None:
        raise NotFound
    return account


def _normalize_address(email: str) -> str:
    try:
        return normalize_email(email)
    except ValueError as error:
        raise ValidationFailed(str(error), param="email") from None
