"""Sends e-mail with retries."""

from __future__ import annotations

import asyncio

import structlog

from gateway.core.aio import BackgroundTasks
from gateway.core.email.mailer import Mailer, MailNotSent

log = structlog.get_logger(__name__)

_RETRY_DELAYS = (2.0, 10.0)  # seconds before the second and the third attempt
_MAX_CONCURRENT = 100
_GRACE_SECONDS = 5.0

_CHANGED_SUBJECT = "Your e-mail address was changed"
_CHANGED_TEXT = """The e-mail address of your account at LLM Gateway was changed from this address to another.

All other sessions of the account were signed out. If you did not make this change, ask your administrator to
disable the account.

"""


async def send_with_retry(
    mailer: Mailer, address: str, subject: str, text: str, *, failure_event: str
) -> None:
    """Send an e-mail with up to three attempts.

    `failure_event` is logged for each failed one.
    """
    for delay in (*_RETRY_DELAYS, None):
        try:
            await mailer.send(address, subject, text)
        except MailNotSent as error:
            log.warning(failure_event, error=str(error), last_try=delay is None)
            if delay is not None:
                await asyncio.sleep(delay)
        else:
            return


class AccountNotifier:
    """Sends notices to account owners in the background."""

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer
        self._tasks = BackgroundTasks()

    def notify_email_changed(self, old_address: str) -> None:
        """Notify the old address; if too many e-mails are pending, only log it."""
        if len(self._tasks) >= _MAX_CONCURRENT:
            log.warning("notice.send_failed", error="too many pending e-mails", last_try=True)
            return
        mail = send_with_retry(
            self._mailer, old_address, _CHANGED_SUBJECT, _CHANGED_TEXT, failure_event="notice.send_failed"
        )
        self._tasks.spawn(mail)

    async def delete_mails_to(self, address: str) -> None:
        """Delete stored e-mails to a deleted account; a failure is logged."""
        try:
            await asyncio.to_thread(self._mailer.delete_messages_to, address)
        except OSError as error:
            log.warning("notice.delete_failed", error=type(error).__name__)

    async def aclose(self) -> None:
        """Wait briefly for pending e-mails, then cancel them."""
        await self._tasks.drain(_GRACE_SECONDS)
