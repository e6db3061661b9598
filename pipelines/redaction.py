"""Takes secrets out of what people read: URLs, error messages, rows of failures, log lines.

Knows how secrets are written: user and password in a URL, signed queries, headers, settings with a
telling name, and the values of this process's own environment variables with such a name. Does not
know where a text came from: messages of other libraries, and of servers that repeat what they were
sent, pass through here too.
"""

from __future__ import annotations

import os
import re
from urllib.parse import quote

HIDDEN = "***"
_KEPT = rf"\g<1>{HIDDEN}"
MIN_SECRET = 8  # characters: a shorter value of the environment would take ordinary words with it

_URL = re.compile(r"\b[A-Za-z][A-Za-z0-9+.\-]{0,30}:/{1,3}(?:[^\s/@]+@)?[^\s'\"<>]+")
_USER = re.compile(r"^[^/\s]*@")
_PASSWORD = re.compile(r"^[^/\s@]*:(?!\d+(?:/|$))[^\s@]*@")  # with a slash in it
_WORDS = (
    r"(?:x-(?:amz|goog|ms|oss)-(?:signature|credential|security-token)|awsaccesskeyid|signature|sig"
    r"|[\w-]{0,40}(?:token|secret|password|passwd|api_?key|access_?key|account_?key)[\w-]{0,40})"
)
_QUERY = re.compile(rf"([?&;]{_WORDS}=)[^&\s'\"<>]*", re.IGNORECASE)
_SETTING = re.compile(
    rf"(?<![\w-])((?:['\"]{_WORDS}['\"]\s*[:=]\s*|{_WORDS}=)b?)"
    r"(?:'[^'\n]*'|\"[^\"\n]*\"|[^\s'\",;&}\])]+)",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"((?:(?:proxy-)?authorization|x-amz-security-token|x-api-key|(?:set-)?cookie)['\"]?\s*[:=]\s*)"
    r"(?:'[^'\n]*'|\"[^\"\n]*\"|[^\n'\"]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer\s+)[\w.~+/-]{16,}=*", re.IGNORECASE)
_AWS_ID = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}\b")
_ENVIRONMENT = re.compile(
    r"secret|token|passw|credential|access_?key|api_?key|account_?key|auth(?!or)|connection_string|_sas$",
    re.IGNORECASE,
)


def without_credentials(url: str) -> str:
    """A URL without user and password, on the web without query and fragment, and elsewhere
    without what a query says of keys and signatures."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    scheme = scheme.lower()
    rest = _USER.sub("", _PASSWORD.sub("", rest))
    if scheme in ("http", "https"):
        rest = re.split("[?#]", rest)[0]
    return f"{scheme}://{_QUERY.sub(_KEPT, rest)}"


def redacted(text: str) -> str:
    """The text without secrets; what is left out of it is `***`, or left out of its URLs."""
    for value in _secrets():
        text = text.replace(value, HIDDEN)
    text = _URL.sub(lambda found: _plain_url(found[0]), text)
    text = _HEADER.sub(_KEPT, text)
    text = _SETTING.sub(_KEPT, text)
    text = _QUERY.sub(_KEPT, text)
    text = _BEARER.sub(_KEPT, text)
    return _AWS_ID.sub(HIDDEN, text)


def why(exc: BaseException) -> str:
    """The reason without the path, which OSError's own text repeats, and without secrets."""
    return redacted(getattr(exc, "strerror", None) or str(exc) or type(exc).__name__)


def _plain_url(url: str) -> str:
    """`without_credentials`, of a URL in a sentence, however many slashes it has."""
    scheme, slashes, rest = re.split("(:/{1,3})", url, maxsplit=1)
    return scheme + slashes + without_credentials(f"{scheme}://{rest}").partition("://")[2]


def _secrets() -> list[str]:
    """Values of the environment that are secret by their name, longest first, as they are and as
    they stand in a URL."""
    values = {
        value.strip()
        for name, value in os.environ.items()
        if len(value.strip()) >= MIN_SECRET
        and _ENVIRONMENT.search(name)
        and not value.startswith(("/", "~", "."))  # a path to where secrets are
        and not value.isdigit()
    }
    return sorted(values | {quote(value, safe="") for value in values}, key=len, reverse=True)
