"""Signatures of requests: what the vendor's clients make, checked; and ours, made.

Two families. V3 (`ACS3-HMAC-SHA256`) signs the method, the path, the query, the headers that it names and
the hash of the body. V1 (`HMAC-SHA1` or `HMAC-SHA256`) signs the method and all parameters, query and form
together. Clients escape differently, so what is checked is what was meant: everything is decoded and
escaped again in the one canonical way (RFC 3986).

Nothing here knows a key: `read` says who claims to have signed what, `Signature.check` whether a secret
agrees. Time and nonces are for the caller to judge.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import quote

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.secret import Secret

__all__ = ["MAX_SKEW_MS", "Family", "Received", "Signature", "read", "signed_headers"]

MAX_SKEW_MS = 15 * 60 * 1_000
"""How far a request's time may be from ours, both ways."""

V3_ALGORITHM = "ACS3-HMAC-SHA256"

MUST_SIGN = frozenset({"host", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"})
"""Headers that a V3 signature covers."""

MUST_SIGN_IF_SENT = frozenset({"x-acs-action", "x-acs-version"})
"""And so are those that begin with `x-cloudassist-`. (Some clients add `x-acs-` headers after signing.)"""

LONGEST_NONCE = 256

LONGEST_SHOWN = 128 * 1024
"""How much of our string to sign is told to a sender whose signature does not fit."""

_ESCAPED = "-_.~"
_TIMES = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ")
_HEX_64 = re.compile(r"[0-9a-f]{64}")

Pairs = Sequence[tuple[str, str]]


class Family(StrEnum):
    """How a request is signed, if it is."""

    V3 = "V3"
    V1 = "V1"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it came in; parameters are decoded, bytes that are not UTF-8 kept as surrogates."""

    method: str
    path: str = "/"
    """As it was sent, without the query."""
    query: Pairs = ()
    form: Pairs = field(default=(), repr=False)
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes = field(default=b"", repr=False)

    @property
    def family(self) -> Family:
        if "authorization" in self.headers:
            return Family.V3
        names = {name for pairs in (self.query, self.form) for name, _ in pairs}
        return Family.V1 if names & {"Signature", "AccessKeyId"} else Family.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a request says of who signed it; nothing of it is true before `check`."""

    family: Family
    key_id: str
    nonce: str
    signed_ms: int
    """When, by the sender's clock."""
    covered: frozenset[str]
    """The headers that were signed, lower-case. None for V1."""
    string_to_sign: str = field(repr=False)
    _given: str = field(repr=False)
    _sign: Callable[[str, str], str] = field(repr=False)

    def check(self, *secrets: Secret[str]) -> None:
        """Whether it was made with one of these secrets: a key that was rotated may have two.

        `Refused(SIGNATURE_MISMATCH)`; takes the same time for any wrong signature. The vendor's clients read
        the message: from our string to sign they see whether the secret or the request differs."""
        given = self._given.encode(errors="surrogateescape")
        expected = [self._sign(secret.reveal(), self.string_to_sign).encode() for secret in secrets]
        if not any([hmac.compare_digest(one, given) for one in expected]):  # noqa: C419 - compare with all
            raise Refused(
                Kind.SIGNATURE_MISMATCH,
                "the signature is not that of this request with the secret of this key; check the secret, and"
                " that no proxy changes the request. server string to sign is:"
                + self.string_to_sign[:LONGEST_SHOWN],
            )

    def check_time(self, now_ms: int) -> None:
        """`Refused(TIMESTAMP_EXPIRED)`."""
        if abs(now_ms - self.signed_ms) > MAX_SKEW_MS:
            raise Refused(
                Kind.TIMESTAMP_EXPIRED,
                f"the request was signed at {_time_text(self.signed_ms)}, here it is {_time_text(now_ms)};"
                " set the clock of the sender (UTC) and sign again",
            )


def read(request: Received) -> Signature:
    """The signature of a request. `Refused` MISSING_ACCESS_KEY, INCOMPLETE_SIGNATURE, SECURITY_TOKEN,
    BAD_TIMESTAMP; SIGNATURE_MISMATCH where the body is not the one that was signed."""
    match request.family:
        case Family.V3:
            return _read_v3(request)
        case Family.V1:
            return _read_v1(request)
        case Family.NONE:
            raise Refused(
                Kind.MISSING_ACCESS_KEY,
                "the request is not signed; make a key with `cloudassist key create` and sign with it",
            )


# -- V3


def _read_v3(request: Received) -> Signature:
    headers = request.headers
    algorithm, _, rest = headers["authorization"].strip().partition(" ")
    if algorithm != V3_ALGORITHM:
        raise _incomplete(f"the algorithm {algorithm[:40]!r} is not known; sign with {V3_ALGORITHM}")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    key_id, given = parts.get("Credential", ""), parts.get("Signature", "")
    covered = [name for name in parts.get("SignedHeaders", "").lower().split(";") if name]
    if not (key_id and given and covered):
        raise _incomplete("Authorization must have Credential, SignedHeaders and Signature")
    if headers.get("x-acs-security-token"):
        raise _security_token()
    ours = {name for name in headers if name.startswith("x-cloudassist-")}
    must = MUST_SIGN | ours | (MUST_SIGN_IF_SENT & headers.keys())
    if missing := sorted(must - set(covered)):
        raise _incomplete(f"the header {missing[0]} must be sent and signed")
    if absent := [name for name in covered if name not in headers]:
        raise _incomplete(f"the header {absent[0][:60]} is said to be signed but was not sent")
    _check_body(request)
    return Signature(
        family=Family.V3,
        key_id=key_id,
        nonce=_nonce(headers["x-acs-signature-nonce"]),
        signed_ms=_time_ms(headers["x-acs-date"]),
        covered=frozenset(covered),
        string_to_sign=_v3_string(
            request.method, request.path, request.query, [(name, headers[name]) for name in covered]
        ),
        _given=given.lower(),
        _sign=_v3_sign,
    )


def _check_body(request: Received) -> None:
    said = request.headers["x-acs-content-sha256"].lower()
    if not _HEX_64.fullmatch(said) or said != hashlib.sha256(request.body).hexdigest():
        raise Refused(
            Kind.SIGNATURE_MISMATCH,
            "x-acs-content-sha256 is not the SHA-256 of the body; check that no proxy changes the body",
        )


def _v3_string(method: str, path: str, query: Pairs, headers: Pairs) -> str:
    named = dict(headers)
    canonical = "\n".join(
        (
            method,
            path,
            _canonical(query),
            "".join(f"{name}:{value.strip()}\n" for name, value in headers),
            ";".join(name for name, _ in headers),
            named["x-acs-content-sha256"].strip(),
        )
    )
    return f"{V3_ALGORITHM}\n{hashlib.sha256(_bytes(canonical)).hexdigest()}"


def _v3_sign(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), _bytes(text), hashlib.sha256).hexdigest()


def signed_headers(
    *,
    method: str,
    path: str = "/",
    query: Pairs = (),
    headers: Mapping[str, str],
    body: bytes,
    key_id: str,
    secret: Secret[str],
    nonce: str,
    now_ms: int,
) -> dict[str, str]:
    """The headers that a request is sent with: `headers` (lower-case, with the host) and a V3 signature."""
    signed = {
        **headers,
        "x-acs-date": _time_text(now_ms),
        "x-acs-signature-nonce": nonce,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
    }
    names = sorted(name for name in signed if name == "host" or name.startswith("x-"))
    text = _v3_string(method, path, query, [(name, signed[name]) for name in names])
    return signed | {
        "authorization": f"{V3_ALGORITHM} Credential={key_id},SignedHeaders={';'.join(names)},"
        f"Signature={_v3_sign(secret.reveal(), text)}"
    }


# -- V1

_V1_HASHES: Mapping[str, str] = {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256"}


def _read_v1(request: Received) -> Signature:
    pairs = [*request.query, *request.form]
    given = dict(pairs)
    if not given.get("AccessKeyId"):
        raise Refused(Kind.MISSING_ACCESS_KEY, "AccessKeyId is missing; sign with a key")
    if given.get("SecurityToken"):
        raise _security_token()
    for name in ("Signature", "SignatureNonce", "Timestamp"):
        if not given.get(name):
            raise _incomplete(f"{name} is missing")
    method = given.get("SignatureMethod") or "HMAC-SHA1"
    if method not in _V1_HASHES or (given.get("SignatureVersion") or "1.0") != "1.0":
        raise _incomplete(f"SignatureMethod must be one of {', '.join(_V1_HASHES)}, SignatureVersion 1.0")
    canonical = _canonical(pair for pair in pairs if pair[0] != "Signature")
    return Signature(
        family=Family.V1,
        key_id=given["AccessKeyId"],
        nonce=_nonce(given["SignatureNonce"]),
        signed_ms=_time_ms(given["Timestamp"]),
        covered=frozenset(),
        string_to_sign=f"{request.method}&%2F&{_escaped(canonical)}",
        _given=given["Signature"],
        _sign=_v1_sign(_V1_HASHES[method]),
    )


def _v1_sign(digest: str) -> Callable[[str, str], str]:
    def sign(secret: str, text: str) -> str:
        return b64encode(hmac.digest(f"{secret}&".encode(), _bytes(text), digest)).decode()

    return sign


# -- both


def _canonical(pairs: Iterable[tuple[str, str]]) -> str:
    """By name, and equal names by value."""
    escaped = sorted((_escaped(name), _escaped(value)) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in escaped)


def _escaped(text: str) -> str:
    return quote(_bytes(text), safe=_ESCAPED)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _nonce(text: str) -> str:
    nonce = text.strip()
    if not 0 < len(nonce) <= LONGEST_NONCE:
        raise _incomplete(f"the nonce must have 1 to {LONGEST_NONCE} characters")
    return nonce


def _time_ms(text: str) -> int:
    for form in _TIMES:
        try:
            return int(datetime.strptime(text.strip(), form).replace(tzinfo=UTC).timestamp() * 1_000)
        except ValueError:
            continue
    raise Refused(
        Kind.BAD_TIMESTAMP, "the time of the signature must be UTC and look like 2026-01-31T12:00:00Z"
    )


def _time_text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).strftime(_TIMES[0])


def _incomplete(what: str) -> Refused:
    return Refused(Kind.INCOMPLETE_SIGNATURE, what)


def _security_token() -> Refused:
    return Refused(
        Kind.SECURITY_TOKEN, "temporary credentials are not supported; use a key of `cloudassist key create`"
    )
