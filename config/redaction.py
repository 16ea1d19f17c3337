"""What is taken out of every text before a log or a person gets it: secrets and control characters.

The patterns run on RE2, whose time grows with the length of the text alone, and every text is cut
before it is read. The formats of tokens are those of detect-secrets 1.5.0 (Yelp, Apache-2.0),
written anew without look-around where they had it; `NOT_PORTED` names what was left out, and why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import re2

HIDDEN: Final = "[redacted]"
MOST_CHARACTERS: Final = 16_384
"""Of one text; what comes after it is dropped unread."""
_LONGEST_VALUE: Final = 4_096
_LONGEST_NAME: Final = 200


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FORMATS: Final[dict[str, str]] = {
    "artifactory": r'(?m)(?:^|[\s=:"])(?:AKC[A-Za-z0-9]{10,}|AP[0-9A-F][A-Za-z0-9]{9,})',
    "aws key": r"\b(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{12,}",
    "aws secret": r"(?i)\baws.{0,20}(?:key|pwd|pw|password|pass|token)"
    r"[^\n]{0,20}['\"][0-9a-z/+]{40}['\"]",
    "azure storage": r"AccountKey=[A-Za-z0-9+/=]{20,}",
    "discord": r"\b[MNO][A-Za-z\d_-]{23,25}\.[A-Za-z\d_-]{6}\.[A-Za-z\d_-]{27,}",
    "github": r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{16,}",
    "gitlab": r"\b(?:gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-|GR1348941)[\w-]{16,}",
    "google": r"\bAIza[\w-]{30,}",
    "json web token": r"\beyJ[\w=-]{8,}\.[\w=-]{8,}\.?[\w.+/=-]*",
    "mailchimp": r"\b[0-9a-z]{32}-us[0-9]{1,2}\b",
    "npm": r"\bnpm_[A-Za-z0-9]{16,}",
    "openai": r"\bsk-[\w-]{20,}",
    "pypi": r"\bpypi-[\w-]{32,}",
    "putty": r"PuTTY-User-Key-File-\d[^\n]*",
    "sendgrid": r"\bSG\.[\w-]{16,}\.[\w-]{16,}",
    "slack": r"(?i)\bx(?:ox[a-z]|app)(?:\.[a-z]+)?-[\w.-]+",
    "slack webhook": r"(?i)hooks\.slack\.com/(?:services|workflows|triggers|commands)/[\w/-]+",
    "softlayer": r"(?i)api\.softlayer\.com/soap/v3(?:\.1)?/[a-z0-9]{64}",
    "square": r"\bsq0[a-z]{3}-[\w\\-]{22,}",
    "stripe": r"\b(?:[rs]k|whsec)_(?:(?:live|test)_)?[0-9A-Za-z]{16,}",
    "telegram": r"\b\d{8,10}:[\w-]{35}",
    "twilio": r"\b(?:AC|SK)[a-z0-9]{32}\b",
}
"""Detector -> what a token of its kind looks like, wherever it stands."""

NAMED: Final = ("basic auth", "cloudant", "ibm cloud iam", "ibm cos hmac", "keyword", "private key")
"""Detectors of detect-secrets that are covered by the rules below for addresses, names and PEM."""

NOT_PORTED: Final[dict[str, str]] = {
    "ip public": "an address is no secret, and evidence of a failed connection needs it",
    "hex high entropy": "digests of images and commits are what a release is about",
    "base64 high entropy": "instead: a long unbroken run of small and capital letters and digits",
}

_PEM = re2.compile(
    r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----.*?"
    r"(?:-----END [A-Z0-9 ]{0,60}-----|\z)"
    r"|---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----.*?(?:---- END [A-Z0-9 ]{0,60}----|\z)"
)
_END_OF_PEM = re2.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----")
_PART_OF_PEM = re2.compile(r"(?:^|[\s\\n|>])[A-Za-z0-9+/=]{1,76}\s*$")
_TOKEN = re2.compile("|".join(f"(?:{pattern})" for pattern in FORMATS.values()))
_USERINFO = re2.compile(r"(://)(?:[^\s/?#@:\"'<>]*:[^\s@\"'<>]+|[^\s/?#@\"'<>]+)@")
_SCHEME = re2.compile(r"(?i)\b(bearer|basic|digest|negotiate)(\s+)[\w.~+/=-]{6,}")
_NAMED = re2.compile(
    r"([\pL\pM\pN_.\[\]-]+)((?:\\*[\"'`\])]){0,3}[ \t]*"
    r"(?:is[ \t]*(?::=|=>|=|:)|::|:=|=>|[!=]==?|=|:|\\*\(\\*[\"']))[ \t]*@?"
)
_FLAG = re2.compile(r"(?:^|[\s\"'\[=`,])(--?)([\pL][\pL\pM\pN_.-]*)(\\*[\"'],?[ \t]*|[ \t]+)")
_QUOTED = re2.compile(r"([\pL\pM\pN_.-]+)[ \t]+(\\*[\"'`])")
_RUN = re2.compile(r"[A-Za-z0-9+/_-]{40,}={0,2}")

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_SECRET_WORDS: Final = _words(
    "pass pw pwd psw psk pin otp auth authorization cookie cookies creds jwt sid dsn salt pat ключ"
)
_SECRET_PARTS: Final = (
    *("password", "passwd", "passphrase", "passcode", "secret", "token", "credential"),
    *("apikey", "accesskey", "authkey", "servicekey", "accountkey", "dbkey", "databasekey"),
    *("privkey", "privatekey", "clientkey", "signingkey", "encryptionkey", "cryptkey", "hmackey"),
    *("sharedkey", "masterkey", "licensekey", "sshkey", "webhookkey", "storagekey", "sessionkey"),
    *("iamkey", "cloudkey", "ibmkey", "softlayerkey", "slkey", "clkey", "cloukey", "cloudantkey"),
    *("sessionid", "connectionstring", "dbpass", "databasepass", "keypass", "userpass"),
    *("contraseña", "contrasena", "senha", "motdepasse", "passwort", "kennwort", "geheim"),
    *("parola", "hasło", "haslo", "heslo", "wachtwoord", "lösenord", "şifre", "salasana"),
    *("пароль", "секрет", "токен", "κωδικ", "密码", "密碼", "口令", "密钥", "密鑰"),
    *(
        "令牌",
        "パスワード",
        "秘密",
        "비밀번호",
        "סיסמ",
        "كلمةالمرور",
        "كلمةالسر",
        "पासवर्ड",
        "รหัสผ่าน",
    ),
)
_ABOUT_A_SECRET: Final = _words(
    "name names ref refs count limit expiry expires expiration ttl seconds minutes type "
    "version enabled required path file dir mount mounts policy length size bucket error "
    "errors"
)
_HEADERS: Final = frozenset(("authorization", "cookie"))  # a value of several words
_SAID: Final = frozenset(("", "true", "false", "null", "none", "nil", "<none>", "undefined"))
_KINDS: Final = frozenset(("secret", "secrets", "token", "tokens"))
_PROSE: Final = _words(
    "unexpected failed failure invalid expired error unauthorized denied missing not could "
    "cannot no the a request status rpc dial get post context required is was has must "
    "server unable authorization"
)
"""What follows ``failed to fetch oauth token:`` and the like; no secret that matters."""
_END_OF_VALUE: Final = re.compile(r"[\s,;&\"'`)\]}<>]")
_ENDS_TAG: Final = re.compile(r"$|[^\w.-]|\.(?:\s|$)")
_OPENING: Final = re.compile(r"\\*[\"'`]")


def is_secret_name(name: str) -> bool:
    """Whether what has this name is likely a secret: ``DB_PASS``, ``clientSecret``, ``пароль``."""
    return _is_secret_name(name[-_LONGEST_NAME:])


@lru_cache(maxsize=2_048)
def _is_secret_name(name: str) -> bool:
    words = _WORD.findall(name)
    if not words:
        return False
    plain = [word.casefold() for word in words]
    if plain[-1] in _ABOUT_A_SECRET and len(plain) > 1:
        return False
    whole = "".join(word for word in plain if not word.isdigit())
    return any(word in _SECRET_WORDS for word in plain) or any(
        part in whole for part in _SECRET_PARTS
    )


def redact(text: str, *, images: Iterable[str] = ()) -> str:
    """The text, at most MOST_CHARACTERS of it, without what looks like a secret.

    ``images`` are references that the text may name: the tag of ``registry/auth:2.0.0`` is no
    password, though a repository called ``auth`` reads like one.
    """
    text = bounded(text, MOST_CHARACTERS)
    text = _without_pem(text)
    text = without_tokens(text)
    text = _SCHEME.sub(rf"\1\2{HIDDEN}", text)
    return _without_named(text, [tagged for image in images if (tagged := _tagged(image))])


def _tagged(image: str) -> str:
    """``auth:2.0.0`` of ``registry/team/auth:2.0.0@sha256:…``: runtimes write out the rest of a
    reference in their own ways. "" where it has no tag."""
    last = image.partition("@")[0].rpartition("/")[2]
    return last if ":" in last else ""


def without_tokens(text: str) -> str:
    """Without what is a secret whatever its name: tokens of known formats and passwords in
    addresses."""
    text = _TOKEN.sub(lambda found: _leading(found.group()) + HIDDEN, text)
    text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
    return str(_RUN.sub(_run, text))


def bounded(text: str, most: int) -> str:
    """The first ``most`` characters. A word that the cut would halve goes with the rest, for half a
    token is not recognised as one."""
    if len(text) <= most:
        return text
    kept = text[:most]
    last = max(kept.rfind(blank, most - _LONGEST_NAME) for blank in (" ", "\n", "\t"))
    return (kept[:last] if last > 0 else kept[: most - _LONGEST_NAME]) + "…"


def printable(text: str) -> str:
    """On one line: control characters, line separators and direction marks are shown, never
    carried out."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character == "\xa0" else character.encode("unicode_escape").decode("ascii")


def _leading(found: str) -> str:
    """What a pattern had to see before the token to know it."""
    return found[0] if found[0] in ' \t\n\r\f\v=:"' else ""


def _run(found: Any) -> str:
    """A long unbroken run of mixed letters and digits is a key or a part of one; a digest, which
    has small letters alone, a path and a long name are not."""
    text = str(found.group())
    longest = max(re.split(r"[/_-]", text), key=len) if "/" in text or "-" in text else text
    mixed = (str.islower, str.isupper, str.isdigit)
    suspicious = len(longest) >= 32 and all(sum(map(kind, longest)) >= 2 for kind in mixed)
    return HIDDEN if suspicious else text


def _without_pem(text: str) -> str:
    text = str(_PEM.sub(HIDDEN, text))
    end = _END_OF_PEM.search(text)
    if end is None:
        return text
    # The beginning was cut away: the lines before the end are the key.
    before = text[: end.start()].split("\n")
    while len(before) > 1 and _PART_OF_PEM.search(before[-2]):
        before.pop()
        before[-1] = ""
    if _PART_OF_PEM.search(before[-1]):
        before[-1] = ""
    return "\n".join(before) + HIDDEN + text[end.end() :]


def _without_named(text: str, tagged: Sequence[str]) -> str:
    for finder in (_names, _flags, _quoted):
        text = "".join(_spliced(text, finder, tagged))
    return text


def _names(text: str) -> Iterator[tuple[str, int]]:
    for found in _NAMED.finditer(text):
        yield found.group(1), found.end()


def _flags(text: str) -> Iterator[tuple[str, int]]:
    """``--password x``, also as a list: ``"--password", "x"``."""
    for found in _FLAG.finditer(text):
        if not text.startswith("-", found.end()):
            yield found.group(2), found.end()


def _quoted(text: str) -> Iterator[tuple[str, int]]:
    """``api_key "x"``: a name and at once a text in quotes. Kubernetes names its own objects so:
    ``secret "x" not found``."""
    for found in _QUOTED.finditer(text):
        if found.group(1).casefold() not in _KINDS:
            yield found.group(1), found.start(2)


def _spliced(
    text: str, finder: Callable[[str], Iterator[tuple[str, int]]], tagged: Sequence[str]
) -> Iterator[str]:
    done = 0
    for name, after in finder(text):
        if after < done or not is_secret_name(name) or _is_tag(text, after, tagged):
            continue
        start, end = _value(text, after, name)
        value = text[start:end].casefold()
        first = value.partition(" ")[0].rstrip(":")
        prose = first in _PROSE and text.startswith(": ", start - 2)
        if value not in _SAID and not prose and text[start:end] != HIDDEN:
            yield text[done:start]
            yield HIDDEN
            done = end
    yield text[done:]


def _is_tag(text: str, after: int, tagged: Sequence[str]) -> bool:
    """Whether the value that begins here is the tag of one of these images, and no more than it."""
    for one in tagged:
        repository = one.partition(":")[0]
        start = after - len(repository) - 1
        before, end = text[max(start - 1, 0) : max(start, 0)], start + len(one)
        if text.startswith(one, max(start, 0)) and start >= 0 and _ENDS_TAG.match(text, end):
            return not before or before in "/\"'` ("
    return False


def _value(text: str, start: int, name: str) -> tuple[int, int]:
    """Where the value that begins here begins and ends, without its quotes."""
    furthest = min(len(text), start + _LONGEST_VALUE)
    opening = _OPENING.match(text, start)
    if opening is not None:
        quote, start = opening.group(), opening.end()
        closing = text.find(quote, start, furthest)
        while closing > start and text[closing - 1] == "\\" and not quote.startswith("\\"):
            closing = text.find(quote, closing + 1, furthest)
        return start, closing if closing >= 0 else _end_of_line(text, start, furthest)
    if text.startswith(HIDDEN, start):
        return start, start + len(HIDDEN)
    if name.casefold().rpartition("-")[2] in _HEADERS and ": " in text[start - 2 : start]:
        return start, _end_of_line(text, start, furthest)
    ending = _END_OF_VALUE.search(text, start, furthest)
    return start, ending.start() if ending is not None else furthest


def _end_of_line(text: str, start: int, furthest: int) -> int:
    found = text.find("\n", start, furthest)
    return found if found >= 0 else furthest


# --- values of the environment --------------------------------------------------------------------

_HARMLESS_WORDS: Final = _words(
    "true false yes no on off none null enabled disabled auto default debug info warn "
    "warning error trace fatal json text plain logfmt prod production staging stage dev "
    "development test testing qa local sandbox utc utf-8 http https tcp grpc stdout stderr "
    "rolling canary stable blue green read write primary replica"
)
_HARMLESS: Final = re2.compile(
    r"[+-]?\d{1,12}(?:\.\d{1,6})?(?:ms|s|m|h|d|%|[KMGT]i?B?)?"  # numbers, times, sizes
    r"|v?\d{1,4}(?:\.\d{1,6}){1,3}"  # versions, IPv4 addresses
    r"|(?:https?|grpc|tcp|redis|rediss|postgres|postgresql|mysql|amqp|nats|mongodb)://"
    r"[A-Za-z0-9.-]{1,253}(?::\d{1,5})?(?:/[A-Za-z0-9._-]{0,24}){0,6}"
    r"|[a-z][a-z0-9.-]{0,252}:\d{1,5}"  # a host with its port
    r"|(?:/[A-Za-z0-9._-]{1,24}){1,8}/?"  # a path
)


def is_harmless(name: str, value: str) -> bool:
    """Whether the value of an environment variable may be shown: it is a number, time, size,
    version, known word, address without user or query, or path, and its name is not of a secret."""
    if is_secret_name(name) or len(value) > _LONGEST_NAME:
        return False
    if value.casefold() in _HARMLESS_WORDS or not value:
        return True
    return bool(_HARMLESS.fullmatch(value)) and without_tokens(value) == value
