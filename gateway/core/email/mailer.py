"""E-mail delivery: over SMTP if it is configured, otherwise into a folder."""

from __future__ import annotations

import asyncio
import os
import secrets
import smtplib
import ssl
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from email.utils import format_datetime, make_msgid
from pathlib import Path

import structlog

from gateway.core.settings import Settings

log = structlog.get_logger(__name__)

_TIMEOUT = 15.0  # seconds, for each step of the SMTP dialog
_DEFAULT_PORTS = {"starttls": 587, "implicit": 465, "none": 25}
_LOCAL_SENDER = "gateway@gateway.localhost"


class MailNotSent(Exception):
    """The message was not delivered; another attempt may succeed."""


class Mailer(ABC):
    """Sends plain text messages. Never logs content or recipients."""

    def __init__(self, sender: str) -> None:
        self._sender = sender

    async def send(self, to: str, subject: str, text: str) -> None:
        """Send one message.

        Raises:
            MailNotSent: the message was not delivered.
        """
        message = EmailMessage(policy=SMTPUTF8)
        message["From"] = self._sender
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = make_msgid(domain="gateway.invalid")
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: suppresses automatic replies
        message.set_content(text)
        await asyncio.to_thread(self._deliver, message)

    def delete_messages_to(self, address: str) -> None:
        """Delete stored messages to an address (blocking). SMTP stores none."""
        return

    @abstractmethod
    def _deliver(self, message: EmailMessage) -> None:
        """Deliver the message (blocking).

        Raises:
            MailNotSent: the message was not delivered.
        """


class SmtpMailer(Mailer):
    """Delivers over SMTP with STARTTLS, implicit TLS or no TLS."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.smtp_from)
        self._host = settings.smtp_host
        self._port = settings.smtp_port or _DEFAULT_PORTS[settings.smtp_tls]
        self._tls = settings.smtp_tls
        self._user = settings.smtp_user
        self._password = settings.smtp_password

    def check_login(self, seconds: float = _TIMEOUT) -> None:
        """Connect and log in without sending anything (blocking).

        Raises:
            smtplib.SMTPException, OSError: the server cannot be used as configured.
        """
        with self._connect(seconds) as server:
            self._log_in(server)

    def _deliver(self, message: EmailMessage) -> None:
        try:
            with self._connect(_TIMEOUT) as server:
                self._log_in(server)
                server.send_message(message)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            # ValueError: the server does not support the characters of the address. The server's message may
            # contain the address, so only the kind of failure is reported.
            raise MailNotSent(type(error).__name__) from None

    def _log_in(self, server: smtplib.SMTP) -> None:
        if self._tls == "starttls":
            server.starttls(context=ssl.create_default_context())
        if self._user:
            server.login(self._user, self._password.get_secret_value())

    def _connect(self, seconds: float) -> smtplib.SMTP:
        if self._tls == "implicit":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self._host, self._port, timeout=seconds, context=context)
        return smtplib.SMTP(self._host, self._port, timeout=seconds)


class FileMailer(Mailer):
    """Writes one private file per message, for machines without SMTP."""

    def __init__(self, folder: Path, sender: str = _LOCAL_SENDER) -> None:
        super().__init__(sender)
        self._folder = folder

    def _deliver(self, message: EmailMessage) -> None:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        unfinished, finished = self._folder / f".{name}", self._folder / f"{name}.eml"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(message.as_bytes())
            unfinished.rename(finished)
        except OSError as error:
            raise MailNotSent(type(error).__name__) from None
        log.info("mail.written", folder=str(self._folder.resolve()))

    def delete_messages_to(self, address: str) -> None:
        for file in self._folder.glob("*.eml"):
            try:
                to = message_from_bytes(file.read_bytes(), policy=SMTPUTF8)["To"]
                if to is not None and str(to).lower() == address:
                    file.unlink()
            except FileNotFoundError:
                continue  # the operator deleted it


def create_mailer(settings: Settings) -> Mailer:
    """Create the mailer that the settings describe."""
    if settings.smtp_host:
        return SmtpMailer(settings)
    return FileMailer(settings.data_dir / "mailbox", settings.smtp_from or _LOCAL_SENDER)
