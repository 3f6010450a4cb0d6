"""One certificate authority for the whole testbed, and everything that it signs; keys are P-256, made in milliseconds."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from testbed import clock
from testbed.layout import HOST_ADDRESS, SERVER, SERVICE_ADDRESS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testbed.layout import Layout, Node

YEAR = dt.timedelta(days=365)
_AUTHORITY = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "donjon-testbed")])


def ensure(layout: Layout, nodes: Sequence[Node]) -> None:
    """Make every certificate that is not there yet, and the kubeconfigs that hold them."""
    folder = layout.certificates
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / "ca.crt").exists():
        _authority(folder)
    if not (folder / "service-accounts.key").exists():
        _account_keys(folder)
    server_names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    server_names += ["kubernetes.default.svc.cluster.local", "127.0.0.1", SERVICE_ADDRESS, HOST_ADDRESS]
    _certificate(folder, "apiserver", common_name="kube-apiserver", names=server_names)
    _certificate(folder, "kubelet-client", common_name="kube-apiserver", organization="system:masters")
    _certificate(folder, "front-proxy", common_name="front-proxy")
    clients = {
        "admin": ("admin", "system:masters"),
        "controller-manager": ("system:kube-controller-manager", None),
        "scheduler": ("system:kube-scheduler", None),
        "proxy": ("system:kube-proxy", None),
    }
    for name, (common_name, organization) in clients.items():
        _certificate(folder, name, common_name=common_name, organization=organization)
        _kubeconfig(layout, name)
    for node in nodes:
        names = [node.name, node.address]
        common_name = f"system:node:{node.name}"
        _certificate(folder, node.name, common_name=common_name, organization="system:nodes", names=names)
        _kubeconfig(layout, node.name)
    layout.kubeconfig.touch(mode=0o600)
    layout.kubeconfig.write_text((folder / "admin.kubeconfig").read_text())


def _authority(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    moment = clock.today()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_AUTHORITY)
        .issuer_name(_AUTHORITY)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - dt.timedelta(hours=1))
        .not_valid_after(moment + YEAR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(folder / "ca.key", key)
    (folder / "ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _account_keys(folder: Path) -> None:
    """The pair that signs the tokens of service accounts."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "service-accounts.pub").write_bytes(public)
    _write_key(folder / "service-accounts.key", key)


def _certificate(
    folder: Path, file: str, *, common_name: str, organization: str | None = None, names: Sequence[str] = ()
) -> None:
    """A certificate for both ends of TLS: a kubelet, for one, is a client here and a server there."""
    if (folder / f"{file}.crt").exists():
        return
    authority = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    signer = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(authority.not_valid_before_utc)
        .not_valid_after(authority.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usages, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    _write_key(folder / f"{file}.key", key)
    (folder / f"{file}.crt").write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _kubeconfig(layout: Layout, name: str) -> None:
    """A kubeconfig that holds what it needs, so that it can be copied; written as text, which is shorter than a YAML tree."""
    folder = layout.certificates
    target = folder / f"{name}.kubeconfig"
    if target.exists():
        return
    embedded = {part: _base64(folder / part) for part in ("ca.crt", f"{name}.crt", f"{name}.key")}
    target.touch(mode=0o600)
    target.write_text(f"""\
apiVersion: v1
kind: Config
clusters:
- name: donjon-testbed
  cluster:
    server: {SERVER}
    certificate-authority-data: {embedded["ca.crt"]}
users:
- name: {name}
  user:
    client-certificate-data: {embedded[f"{name}.crt"]}
    client-key-data: {embedded[f"{name}.key"]}
contexts:
- name: donjon-testbed
  context: {{cluster: donjon-testbed, user: {name}}}
current-context: donjon-testbed
""")


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
