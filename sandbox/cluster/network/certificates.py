"""TLS contexts: from a Secret's certificate when it is valid, otherwise from a new self-signed
one."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import ssl
import tempfile
from functools import cache
from pathlib import Path


@cache
def self_signed() -> tuple[bytes, bytes]:
    """(certificate, key) in PEM for localhost and the loopback address."""
    # Imported here because it takes 70 ms, and most clusters never speak TLS.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulated cluster")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def context_of(certificate: bytes, key: bytes) -> ssl.SSLContext:
    """A server context; the files that the ssl module needs exist only during the call."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="simulated-cluster-") as folder:
        path = Path(folder) / "pair.pem"
        path.touch(0o600)
        path.write_bytes(certificate + b"\n" + key)
        context.load_cert_chain(path)
    return context


@cache
def self_signed_context() -> ssl.SSLContext:
    return context_of(*self_signed())


@cache
def context_of_secret(certificate: str, key: str) -> ssl.SSLContext | None:
    """A context from the base64 values of a Secret, or None when they are not a certificate."""
    try:
        return context_of(base64.b64decode(certificate), base64.b64decode(key))
    except (ssl.SSLError, ValueError, binascii.Error):
        return None
