"""Secrets from files: `NAME_FILE` is the path of a file with the value of `NAME`.

This is the convention of container images: Docker and Kubernetes mount secrets as files, which process lists,
crash reports and `docker inspect` do not show.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

_SUFFIX = "_FILE"
# Other programs use variables that end in _FILE too (SSL_CERT_FILE, …), so only secret-like names are read.
_SECRET_ENDINGS = ("_KEY", "_KEYS", "_PASSWORD", "_SECRET", "_TOKEN", "_URL")
_MAX_BYTES = 64 * 1024


class SecretFileError(Exception):
    """A secret file cannot be used; the message names the variable, never the value."""


def load_secret_files(environ: MutableMapping[str, str]) -> None:
    """Set `NAME` from the file that `NAME_FILE` names, without its trailing newline.

    Safe to repeat.

    Raises:
        SecretFileError: the file cannot be read, is not text or too large, or `NAME` has another value.
    """
    for variable in [name for name in environ if name.endswith(_SUFFIX)]:
        name = variable.removesuffix(_SUFFIX)
        if not name.endswith(_SECRET_ENDINGS) or not environ[variable]:
            continue
        value = _read(variable, Path(environ[variable]))
        if environ.get(name) and environ[name] != value:
            raise SecretFileError(
                f"{name} and {variable} are both set to different values. Unset one of them."
            )
        environ[name] = value


def _read(variable: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        text = data.decode()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SecretFileError(f"{variable} names a file that cannot be read: {reason}.") from None
    except UnicodeDecodeError:
        raise SecretFileError(f"{variable} names a file that is not UTF-8 text.") from None
    if len(data) > _MAX_BYTES:
        raise SecretFileError(f"{variable} names a file that is too large for a secret.")
    return text.rstrip("\r\n")
