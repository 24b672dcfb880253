"""Sends a mail, and tries again where the mail server did not take it."""

from __future__ import annotations

import asyncio

import structlog

from gateway.core.mailer import Mailer, MailNotSent

log = structlog.get_logger(__name__)

_RETRIES = (2.0, 10.0)  # seconds before the second and the third try
_AT_ONCE = 100
_GRACE_SECONDS = 5.0

_CHANGED_SUBJECT = "Your e-mail address was changed"
_CHANGED_TEXT = """The e-mail address of your account at LLM Gateway was changed from this one to another.

Other sessions of the account have ended. If you did not do this, ask your administrator to disable the
account.
"""


async def deliver(mailer: Mailer, address: str, subject: str, text: str, *, failure: str) -> None:
    """Send a mail, three times at most; `failure` is the log event of a try that failed."""
    for pause in (*_RETRIES, None):
        try:
            await mailer.send(address, subject, text)
        except MailNotSent as error:
            log.warning(failure, error=str(error), last_try=pause is None)
            if pause is not None:
                await asyncio.sleep(pause)
        else:
            return


class AccountNotices:
    """Notices to an account's owner; no request waits for one."""

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer
        self._tasks: set[asyncio.Task[None]] = set()

    def address_changed(self, old: str) -> None:
        """Notify the old address; where too many mails are under way, only the log has it."""
        if len(self._tasks) >= _AT_ONCE:
            log.warning("notice_not_sent", error="too many mails", last_try=True)
            return
        mail = deliver(self._mailer, old, _CHANGED_SUBJECT, _CHANGED_TEXT, failure="notice_not_sent")
        task = asyncio.create_task(mail)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def forget(self, address: str) -> None:
        """Delete what is kept here of mails to an account that has left; a failure is logged."""
        try:
            await asyncio.to_thread(self._mailer.forget, address)
        except OSError as error:
            log.warning("mails_not_deleted", error=type(error).__name__)

    async def aclose(self) -> None:
        """Wait a moment for mails that are under way."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=_GRACE_SECONDS)
            for task in late:
                task.cancel()
