"""Sends a mail, and tries again where the mail server did not take it."""

from __future__ import annotations

import asyncio

import structlog

from gateway.core.email.mailer import Mailer, MailNotSent

log = structlog.get_logger(__name__)

_RETRY_DELAYS = (2.0, 10.0)  # seconds before the second and the third try
_MAX_CONCURRENT = 100
_GRACE_SECONDS = 5.0

_CHANGED_SUBJECT = "Your e-mail address was changed"
_CHANGED_TEXT = """The e-mail address of your account at LLM Gateway was changed from this one to another.

Other sessions of the account have ended. If you did not do this, ask your administrator to disable the
account.
"""


async def send_with_retry(
    mailer: Mailer, address: str, subject: str, text: str, *, failure_event: str
) -> None:
    """Send a mail, three times at most; `failure` is the log event of a try that failed."""
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
    """Notices to an account's owner; no request waits for one."""

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer
        self._tasks: set[asyncio.Task[None]] = set()

    def notify_email_changed(self, old_address: str) -> None:
        """Notify the old address; where too many mails are under way, only the log has it."""
        if len(self._tasks) >= _MAX_CONCURRENT:
            log.warning("notice_not_sent", error="too many mails", last_try=True)
            return
        mail = send_with_retry(
            self._mailer, old_address, _CHANGED_SUBJECT, _CHANGED_TEXT, failure_event="notice_not_sent"
        )
        task = asyncio.create_task(mail)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def delete_mails_to(self, address: str) -> None:
        """Delete what is kept here of mails to an account that has left; a failure is logged."""
        try:
            await asyncio.to_thread(self._mailer.delete_messages_to, address)
        except OSError as error:
            log.warning("mails_not_deleted", error=type(error).__name__)

    async def aclose(self) -> None:
        """Wait a moment for mails that are under way."""
        if self._tasks:
            _, unfinished = await asyncio.wait(set(self._tasks), timeout=_GRACE_SECONDS)
            for task in unfinished:
                task.cancel()
