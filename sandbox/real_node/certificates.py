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
SIGNS_CERTIFICATES = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """A private one; its key is never written."""

    def __init__(self) -> None:
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster")])
        self._key = ec.generate_private_key(ec.SECP256R1())

    def write(self, path: Path) -> None:
        own = self._key.public_key()
        builder = (
            _builder(self._name, self._name, own)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
            .add_extension(SIGNS_CERTIFICATES, critical=True)
        )
        _write(path, _pem(builder.sign(self._key, hashes.SHA256())))

    def write_signed(
        self, path: Path, subject: Sequence[x509.NameAttribute[str]], names: Sequence[str]
    ) -> None:
        """PATH.crt and PATH.key, for host names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(x509.Name(subject), self._name, key.public_key())
            .add_extension(x509.SubjectAlternativeName(list(map(_general, names))), critical=False)
            # Python 3.13 accepts no certificate without it.
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        _write(path.with_name(f"{path.name}.crt"), _pem(builder.sign(self._key, hashes.SHA256())))
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _write(path.with_name(f"{path.name}.key"), private)


def common_name(name: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.COMMON_NAME, name)


def write_certificates(folder: Path, server_addresses: Sequence[str]) -> None:
    """ca.crt, apiserver.crt and .key, kubelet-client.crt and .key."""
    folder.mkdir(mode=0o700)
    authority = Authority()
    authority.write(folder / "ca.crt")
    names = ["localhost", "kubernetes", *server_addresses]
    masters = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters")
    authority.write_signed(folder / "apiserver", [common_name("kube-apiserver")], names)
    client = common_name("kube-apiserver-kubelet-client")
    authority.write_signed(folder / "kubelet-client", [masters, client], names)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


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
