"""Secrets from files are read, named in errors and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.security.secret_files import SecretFileError, load_secret_files


def test_secret_is_read_without_the_trailing_newline(tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text("a secret of two\nlines\n")
    environ = {"JWT_SECRET_FILE": str(tmp_path / "jwt")}
    load_secret_files(environ)
    assert environ["JWT_SECRET"] == "a secret of two\nlines"
    load_secret_files(environ)  # a worker reads the environment that its parent has read already
    assert environ["JWT_SECRET"] == "a secret of two\nlines"


def test_variables_of_other_programs_are_ignored(tmp_path: Path) -> None:
    environ = {"SSL_CERT_FILE": str(tmp_path / "none"), "OPENAI_API_KEY_FILE": ""}
    load_secret_files(environ)
    assert set(environ) == {"SSL_CERT_FILE", "OPENAI_API_KEY_FILE"}


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"a" * 70_000])
def test_invalid_secret_file_error_names_the_variable(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SecretFileError, match=r"^OPENAI_API_KEY_FILE names a file"):
        load_secret_files({"OPENAI_API_KEY_FILE": str(path)})


def test_conflicting_values_are_rejected_without_showing_them(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-the-file")
    environ = {"SMTP_PASSWORD": "from-the-environment", "SMTP_PASSWORD_FILE": str(tmp_path / "key")}
    with pytest.raises(SecretFileError) as caught:
        load_secret_files(environ)
    assert "from-the" not in str(caught.value)
