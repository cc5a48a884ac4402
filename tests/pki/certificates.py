"""Server certificates, valid and invalid, each made on first use."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import ssl
import warnings
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.pki import certificate_parts, der

NAMES = ("localhost", "pop.example.test", "127.0.0.1", "::1")
"""What a certificate is for, where nothing else is the point of it."""

MANY_NAMES = 2000
INTERMEDIATE_DAYS = 3
"""What `intermediate_expiring` has left in its intermediate; its leaf has a year."""

_BAD_CRYPTO = ("weak", "sha1", "md5", "weak_intermediate", "sha1_intermediate", "sha1_root")
"""These need OpenSSL's security level 0 even to be served."""

# RFC 2409 section 6.2.
_OAKLEY_GROUP_2 = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A0879"
    "8E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B"
    "0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
    16,
)

HAND_KEY = certificate_parts.ec_key(3)
"""Of server certificates that are put together by hand."""

_TLS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
# In DER, the object identifiers of the two signature algorithms differ in one byte.
_SHA256_WITH_RSA = bytes.fromhex("06092a864886f70d01010b")
_SHA1_WITH_RSA = bytes.fromhex("06092a864886f70d010105")


def _days(days: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)


class Pki:
    """One trusted root in two keys, and what they have issued."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = trustme.CA()
        # For what has to be signed by hand: RSA signatures have a fixed length.
        self._odd_root = trustme.CA(key_type=trustme.KeyType.RSA)
        self._files: dict[str, tuple[Path, Path]] = {}
        self._contexts: dict[tuple[str, tuple[tuple[str, object], ...]], ssl.SSLContext] = {}
        # For what is put together byte by byte; and one that signs itself badly, as old ones do.
        self._hand_root = certificate_parts.root("Root by hand", certificate_parts.rsa_key(2048))
        self._sha1_root = certificate_parts.root(
            "SHA-1 Root", certificate_parts.ec_key(1), digest="sha1"
        )
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(
            self._root.cert_pem.bytes()
            + self._odd_root.cert_pem.bytes()
            + ssl.DER_cert_to_PEM_cert(self._hand_root.certificate).encode()
            + ssl.DER_cert_to_PEM_cert(self._sha1_root.certificate).encode()
        )
        self.client_cert, self.client_key = self._save(
            # To Dovecot the common name is the user.
            "client",
            self._root.issue_cert("client.example.test", common_name="monitor"),
        )

    def der(self, name: str) -> bytes:
        """Return a server certificate in DER."""
        loaded = x509.load_pem_x509_certificate(self.files(name)[0].read_bytes())
        return loaded.public_bytes(Encoding.DER)

    def server(self, name: str, ciphers: str = "", **changes: object) -> ssl.SSLContext:
        """A server's context with this certificate; `changes` are attributes of the context.

        All tests of a process share it: a test that changed it would fail others.
        """
        key = (name, (("ciphers", ciphers), *sorted(changes.items())))
        if key not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            if ciphers or name in _BAD_CRYPTO:
                context.set_ciphers(ciphers or "DEFAULT:@SECLEVEL=0")
            context.load_cert_chain(*self.files(name))
            for attribute, value in changes.items():
                setattr(context, attribute, value)
            self._contexts[key] = context
        return self._contexts[key]

    def by_hand(self, *sent: bytes) -> ssl.SSLContext:
        """A chain that is put together by hand, for the key `HAND_KEY`."""
        # Not by what it is called: its signatures may be random (ECDSA before cryptography 43).
        name = hashlib.sha256(b"".join(sent)).hexdigest()
        self._save(name, self._by_hand(*sent))
        return self.server(name)

    def expiring(self, days: float, lifetime: float = 90) -> ssl.SSLContext:
        """A certificate with `days` left of `lifetime` days: any span, past and future too."""
        name = f"expiring-{days}-{lifetime}"
        if name not in self._files:
            self._save(name, self._ordinary(*NAMES, start=days - lifetime, end=days))
        return self.server(name)

    def demanding_client_certificate(self, tls12_only: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files("good"))
        context.load_verify_locations(self.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
        if tls12_only:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    def only(self, version: str, ciphers: str = "") -> ssl.SSLContext:
        """This TLS version ("1.2", "1.3") and no other."""
        limits = {"maximum_version": _TLS[version], "minimum_version": _TLS[version]}
        return self.server("good", ciphers, **limits)

    def old_tls(self, version: str) -> ssl.SSLContext:
        """TLS "1.0" or "1.1" and no other."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.load_cert_chain(*self.files("good"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = _TLS[version]
        return context

    def old_ciphers(self) -> ssl.SSLContext:
        """TLS 1.2 with a Diffie-Hellman key of 1024 bits, which clients refuse by now."""
        numbers = der.sequence(der.integer(_OAKLEY_GROUP_2), der.integer(2))
        body = base64.encodebytes(numbers).decode()
        file = self.folder / "dh.pem"
        file.write_text(f"-----BEGIN DH PARAMETERS-----\n{body}-----END DH PARAMETERS-----\n")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("DHE-RSA-AES128-SHA:@SECLEVEL=0")
        context.load_cert_chain(*self.files("rsa"))
        context.load_dh_params(str(file))
        return context

    def speaking_everything(self) -> ssl.SSLContext:
        """TLS 1.0 to 1.3, whatever a client wants."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.load_cert_chain(*self.files("good"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = _TLS["1.0"]
        return context

    def demanding_legacy_client_certificate(self) -> ssl.SSLContext:
        """TLS 1.0 and 1.1, up to where the client should show a certificate and has none."""
        context = self.old_tls("1.0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.maximum_version = _TLS["1.1"]
        context.load_verify_locations(self.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def files(self, name: str) -> tuple[Path, Path]:
        """Certificate (with what is sent besides it) and key, in PEM."""
        return self._files.get(name) or self._save(name, self._make(name))

    def _make(self, name: str) -> trustme.LeafCert:
        match name:
            case "good":
                return self._ordinary(*NAMES)
            case "expired":
                return self._ordinary(*NAMES, start=-92, end=-2)
            case "future":
                return self._ordinary(*NAMES, start=3)
            case "wrongname":
                return self._ordinary("other.example.test")
            case "wildcard":
                return self._ordinary("*.example.test")
            case "many_names":
                many = (f"host{number}.example.test" for number in range(MANY_NAMES - len(NAMES)))
                return self._ordinary(*many, *NAMES)
            case "untrusted":
                return self._ordinary(*NAMES, issuer=trustme.CA())
            case "chain":
                return self._ordinary(*NAMES, issuer=self._root.create_child_ca())
            case "nochain":
                # from_pem forgets the parent, so that the intermediate is not sent.
                unsent = self._root.create_child_ca()
                unsent = trustme.CA.from_pem(
                    unsent.cert_pem.bytes(), unsent.private_key_pem.bytes()
                )
                return self._ordinary(*NAMES, issuer=unsent)
            case "intermediate_expiring":
                return self._ordinary(*NAMES, issuer=self._intermediate(end=INTERMEDIATE_DAYS))
            case "intermediate_expired":
                return self._ordinary(*NAMES, issuer=self._intermediate(start=-9, end=-2))
            case "ca_not_critical":
                return self._ordinary(*NAMES, issuer=self._intermediate(critical=False))
            case "ca_no_key_usage":
                return self._ordinary(*NAMES, issuer=self._intermediate(usage=False))
            case "root_sent" | "wrong_order" | "sent_twice" | "extra" | "extra_expired":
                return self._with_more_sent(name)
            case "selfsigned":
                return self._odd(*NAMES, self_signed=True)
            case "cnonly":
                return self._odd()
            case "weak":
                return self._odd(*NAMES, bits=1024)
            case "sha1":
                return self._odd(*NAMES, sha1=True)
            case "negative_serial":
                return self._odd(*NAMES, negative_serial=True)
            case "no_authority_key":
                return self._odd(*NAMES, authority_key=False)
            case "rsa":
                return self._odd(*NAMES)
            case "rsa_expired":
                return self._odd(*NAMES, start=-92, end=-2)
            case "rsa_expiring":
                return self._odd(*NAMES, start=-80, end=5.5)
            case "md5":
                return self._by_hand(self._hand_root.leaf(HAND_KEY, digest="md5"))
            case "bad_name":
                # Latin-1 has no place in an IA5String.
                subject = certificate_parts.name(b"B\xfccher", tag=der.IA5)
                return self._by_hand(self._hand_root.leaf(HAND_KEY, subject=subject))
            case "unreadable":
                # There is no version 9; OpenSSL accepts it.
                version = der.tagged(0, der.integer(8))
                return self._by_hand(self._hand_root.leaf(HAND_KEY, version=version))
            case "sha1_root":
                return self._by_hand(self._sha1_root.leaf(HAND_KEY))
            case "weak_intermediate":
                return self._below(
                    self._hand_root.below("Weak CA", certificate_parts.rsa_key(1024))
                )
            case "sha1_intermediate":
                return self._below(
                    self._hand_root.below("SHA-1 CA", certificate_parts.ec_key(2), digest="sha1")
                )
            case _:
                raise ValueError(f"no certificate is called {name}")

    def _below(self, issuer: certificate_parts.Authority) -> trustme.LeafCert:
        return self._by_hand(issuer.leaf(HAND_KEY), issuer.certificate)

    def _by_hand(self, *sent: bytes) -> trustme.LeafCert:
        key = HAND_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        own, *others = (ssl.DER_cert_to_PEM_cert(each).encode() for each in sent)
        return trustme.LeafCert(key, own, others)

    def _ordinary(
        self,
        *names: str,
        issuer: trustme.CA | None = None,
        start: float = -1,
        end: float = 365,
    ) -> trustme.LeafCert:
        return (issuer or self._root).issue_cert(
            *names, not_before=_days(start), not_after=_days(end)
        )

    def _intermediate(
        self, start: float = -1, end: float = 365, critical: bool = True, usage: bool = True
    ) -> trustme.CA:
        odd = self._odd(ca=True, start=start, end=end, critical=critical, usage=usage)
        pem, key = odd.cert_chain_pems[0].bytes(), odd.private_key_pem.bytes()
        intermediate = trustme.CA.from_pem(pem, key)
        intermediate.parent_cert = self._odd_root  # so that it is sent
        return intermediate

    def _with_more_sent(self, how: str) -> trustme.LeafCert:
        """A good certificate and its intermediate, sent with unnecessary ones."""
        leaf = self._ordinary(*NAMES, issuer=self._intermediate())
        own, intermediate = (blob.bytes() for blob in leaf.cert_chain_pems)
        root = self._odd_root.cert_pem.bytes()
        unrelated = trustme.CA()
        days = {"extra": 365.0, "extra_expired": -2.0}.get(how, 1.0)
        other = unrelated.issue_cert("x.test", not_before=_days(-9), not_after=_days(days))
        sent = {
            "root_sent": [intermediate, root],
            "wrong_order": [root, intermediate],
            "sent_twice": [intermediate, intermediate],
        }.get(how, [intermediate, other.cert_chain_pems[0].bytes()])
        return trustme.LeafCert(leaf.private_key_pem.bytes(), own, sent)

    def _odd(
        self,
        *names: str,
        bits: int = 2048,
        ca: bool = False,
        critical: bool = True,
        usage: bool = True,
        authority_key: bool = True,
        start: float = -1,
        end: float = 365,
        self_signed: bool = False,
        sha1: bool = False,
        negative_serial: bool = False,
    ) -> trustme.LeafCert:
        """What trustme does not make."""
        key = rsa.generate_private_key(65537, bits)
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        subject = x509.Name(
            [x509.NameAttribute(x509.NameOID.COMMON_NAME, "Odd CA" if ca else "pop.example.test")]
        )
        if self_signed:
            issuer, issuer_key = subject, key
        else:
            root = x509.load_pem_x509_certificate(self._odd_root.cert_pem.bytes())
            root_key = load_pem_private_key(self._odd_root.private_key_pem.bytes(), None)
            assert isinstance(root_key, rsa.RSAPrivateKey)
            issuer, issuer_key = root.subject, root_key
        # The first of the 20 bytes is given: negated, a chance 0x7f would be bad DER.
        serial = 0x25 << 152 | x509.random_serial_number() >> 8
        builder = (
            x509.CertificateBuilder(issuer, subject, key.public_key(), serial)
            .not_valid_before(_days(start))
            .not_valid_after(_days(end))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=critical)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        if authority_key:
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                critical=False,
            )
        if usage:
            builder = builder.add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    content_commitment=False,
                    key_encipherment=not ca,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=ca,
                    crl_sign=ca,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        if names:
            alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        certificate = builder.sign(issuer_key, hashes.SHA256())
        encoded = certificate.public_bytes(Encoding.DER)
        body = certificate.tbs_certificate_bytes
        signature = certificate.signature
        # The library refuses to build these two, rightly, so they are changed and signed again.
        new_body = body
        algorithm: hashes.HashAlgorithm = hashes.SHA256()
        if negative_serial:
            positive = serial.to_bytes(20, "big")
            new_body = new_body.replace(positive, bytes([positive[0] | 0x80]) + positive[1:])
        if sha1:
            algorithm = hashes.SHA1()
            new_body = new_body.replace(_SHA256_WITH_RSA, _SHA1_WITH_RSA)
            encoded = encoded.replace(_SHA256_WITH_RSA, _SHA1_WITH_RSA)
            body = body.replace(_SHA256_WITH_RSA, _SHA1_WITH_RSA)
        new_signature = issuer_key.sign(new_body, padding.PKCS1v15(), algorithm)
        encoded = encoded.replace(body, new_body).replace(signature, new_signature)
        return trustme.LeafCert(key_pem, ssl.DER_cert_to_PEM_cert(encoded).encode(), [])

    def _save(self, name: str, leaf: trustme.LeafCert) -> tuple[Path, Path]:
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        key.touch(mode=0o600)
        key.write_bytes(leaf.private_key_pem.bytes())
        self._files[name] = certificate, key
        return certificate, key


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
