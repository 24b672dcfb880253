"""E-mail is sent encrypted if configured; without SMTP it goes to a folder."""

from __future__ import annotations

import stat
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError
from structlog.testing import CapturingLogger

from gateway.core.email.mailer import FileMailer, MailNotSent, SmtpMailer, create_mailer
from gateway.core.settings import Settings
from tests.support.upstreams.smtp_server import SmtpServer, certificate_for_localhost, smtp_server

TO, SUBJECT, TEXT = "ada@example.com", "A subject", "A text with a token: pr_secret\n"


def settings(server: SmtpServer, tls: str, **more: object) -> Settings:
    return Settings(
        _env_file=None,
        smtp_host="localhost",
        smtp_port=server.port,
        smtp_from="gateway@example.com",
        smtp_tls=tls,
        **more,
    )


@pytest.mark.parametrize("tls", ["starttls", "implicit", "none"])
async def test_mail_reaches_the_server(tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, trusted = certificate_for_localhost(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    made = SmtpServer(context=None if tls == "none" else context, implicit=tls == "implicit")
    async with smtp_server(made) as server:
        mailer = create_mailer(settings(server, tls, smtp_user="me", smtp_password=SecretStr("and my word")))
        assert isinstance(mailer, SmtpMailer)
        await mailer.send(TO, SUBJECT, TEXT)
    [raw] = server.mails
    message = message_from_bytes(raw, policy=policy.default)
    assert (message["to"], message["from"], message["subject"]) == (TO, "gateway@example.com", SUBJECT)
    assert message.get_content().replace("\r\n", "\n") == TEXT
    assert server.encrypted == [tls != "none"]
    assert server.logins == [b"\0me\0and my word"]


async def test_server_with_an_untrusted_certificate_gets_no_mail(tmp_path: Path) -> None:
    context, _ = certificate_for_localhost(tmp_path)
    for implicit in (True, False):
        async with smtp_server(SmtpServer(context=context, implicit=implicit)) as server:
            mailer = SmtpMailer(settings(server, "implicit" if implicit else "starttls"))
            with pytest.raises(MailNotSent):
                await mailer.send(TO, SUBJECT, TEXT)
        assert server.mails == []


async def test_server_without_starttls_gets_no_unencrypted_mail() -> None:
    async with smtp_server(SmtpServer()) as server:
        with pytest.raises(MailNotSent):
            await SmtpMailer(settings(server, "starttls", smtp_user="me")).send(TO, SUBJECT, TEXT)
    assert (server.mails, server.logins) == ([], [])


async def test_server_message_is_not_exposed() -> None:
    async with smtp_server(SmtpServer(refuse=True)) as server:
        with pytest.raises(MailNotSent) as failed:
            await SmtpMailer(settings(server, "none")).send(TO, SUBJECT, TEXT)
    assert "@" not in str(failed.value)
    with pytest.raises(MailNotSent):  # nobody listens there any more
        await SmtpMailer(settings(server, "none")).send(TO, SUBJECT, TEXT)


async def test_without_smtp_mail_is_written_to_a_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = CapturingLogger()
    monkeypatch.setattr("gateway.core.email.mailer.log", logs)
    mailer = create_mailer(Settings(_env_file=None, data_dir=tmp_path))
    assert isinstance(mailer, FileMailer)
    await mailer.send(TO, SUBJECT, TEXT)
    folder = tmp_path / "mailbox"
    [mail] = folder.iterdir()
    assert mail.suffix == ".eml"
    assert stat.S_IMODE(mail.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert message_from_bytes(mail.read_bytes(), policy=policy.default)["to"] == TO
    assert [call.kwargs for call in logs.calls] == [{"folder": str(folder)}]


async def test_unwritable_folder_raises_mail_not_sent(tmp_path: Path) -> None:
    (tmp_path / "mailbox").write_text("in the way")
    with pytest.raises(MailNotSent):
        await FileMailer(tmp_path / "mailbox").send(TO, SUBJECT, TEXT)


def test_smtp_host_without_sender_is_rejected() -> None:
    with pytest.raises(ValidationError, match="SMTP_FROM"):
        Settings(_env_file=None, smtp_host="mail.example.com")
    assert Settings(_env_file=None, smtp_port="", smtp_tls="StartTLS").smtp_port is None
