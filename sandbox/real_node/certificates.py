"""One authority for a cluster, and the two certificates that it signs: the API server's, and the
one that the API server shows to a kubelet."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID_FOR = dt.timedelta(days=30)


def write_certificates(folder: Path, server_addresses: Sequence[str]) -> None:
    """ca.crt, apiserver.crt and .key, kubelet-client.crt and .key."""
    folder.mkdir(mode=0o700)
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster")])
    key = ec.generate_private_key(ec.SECP256R1())
    own = _builder(authority, authority, key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    _write(folder / "ca.crt", _pem(own.sign(key, hashes.SHA256())))
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName("kubernetes")]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in server_addresses]
    subjects = {
        "apiserver": [x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")],
        "kubelet-client": [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
            x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver-kubelet-client"),
        ],
    }
    for name, subject in subjects.items():
        own_key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(x509.Name(subject), authority, own_key.public_key()).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        _write(folder / f"{name}.crt", _pem(builder.sign(key, hashes.SHA256())))
        private = own_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _write(folder / f"{name}.key", private)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + VALID_FOR)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
