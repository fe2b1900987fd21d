"""Passwords: what is asked of a new one, and argon2 hashes. Knows neither accounts nor how a password arrives.

Hashing takes about 64 MiB and a core for a moment, so that guessing is dear; two run at the same time at most.
"""

from __future__ import annotations

import threading
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from medbertde.types import PasswordRefused

FEWEST_CHARACTERS = 12
_MOST_CHARACTERS = 256
_FEWEST_DIFFERENT = 5
_hasher = PasswordHasher()
_at_once = threading.BoundedSemaphore(2)


def require_password(password: str, name: str) -> None:
    """Refuse a password that is easy to guess; what makes it long does not matter."""
    characters = len(_normal(password))
    if not FEWEST_CHARACTERS <= characters <= _MOST_CHARACTERS:
        raise PasswordRefused(
            f"Das Passwort braucht mindestens {FEWEST_CHARACTERS} und höchstens {_MOST_CHARACTERS} Zeichen, dieses hat "
            f"{characters}. Ein kurzer Satz ist gut zu merken und schwer zu erraten.",
            f"The password needs at least {FEWEST_CHARACTERS} and at most {_MOST_CHARACTERS} characters, this one has "
            f"{characters}. A short sentence is easy to remember and hard to guess.",
        )
    if len(set(password)) < _FEWEST_DIFFERENT or not _normal(password).casefold().replace(name.casefold(), ""):
        raise PasswordRefused(
            "Dieses Passwort ist zu leicht zu erraten: Es wiederholt wenige Zeichen oder den Namen. Bitte ein anderes "
            "wählen.",
            "This password is too easy to guess: it repeats few characters or the name. Please choose another one.",
        )


def hash_password(password: str) -> str:
    """The argon2id hash, with its salt and parameters."""
    with _at_once:
        return _hasher.hash(_bytes(_normal(password)))


def is_right(password: str, password_hash: str | None) -> bool:
    """Whether the password belongs to the hash; without a hash it takes as long and is wrong."""
    with _at_once:
        try:
            fits = _hasher.verify(password_hash or _nobody(), _bytes(_normal(password)[: _MOST_CHARACTERS + 1]))
        except (VerificationError, InvalidHashError):
            return False
    return fits and password_hash is not None


@cache
def _nobody() -> str:
    """The hash that an unknown name is compared with, so that it takes as long as a wrong password."""
    return _hasher.hash("nobody has this password")


def _bytes(password: str) -> bytes:
    """As argon2 would write it; half a character, which nobody can type, is no reason to fail."""
    return password.encode("utf-8", "surrogatepass")


def _normal(password: str) -> str:
    r"""The same characters however the keyboard makes them.

    >>> _normal("Müller") == _normal("Mu\u0308ller")
    True
    """
    return unicodedata.normalize("NFKC", password)
