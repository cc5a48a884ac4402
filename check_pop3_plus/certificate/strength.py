"""Read the size of a key and the hash of a signature from DER, and name what is weak."""

from check_pop3_plus.certificate.der import Fields, Value, first, values
from check_pop3_plus.model.sanitised_text import Printable, printable

Key = tuple[Printable, int | None]
"""Kind and size of a key, and the bits of an RSA key that is as strong."""

_STRONG_BITS = 2048
"""RSA bits, or equivalent: the minimum of OpenSSL's security level 2 (112 bits of security)."""

# The RSA key that is as strong as an elliptic curve's key of so many bits (NIST SP 800-57 part 1,
# table 2), strongest first.
_AS_STRONG_AS_RSA = ((512, 15360), (384, 7680), (250, 3072), (224, 2048), (160, 1024), (0, 512))

# Object identifiers, in hexadecimal. Public keys: RFC 3279, 4055, 5480 and 8410.
_RSA = ("2a864886f70d010101", "2a864886f70d01010a")
_DSA, _EC = "2a8648ce380401", "2a8648ce3d0201"
_EDWARDS = {"2b6570": ("Ed25519", 3072), "2b6571": ("Ed448", 7680)}  # with RSA bits as strong
# Bits of a curve, by the last number of its identifier: ANSI X9.62, SEC 2, Brainpool (RFC 5639).
_CURVES = {
    "2a8648ce3d0301": {1: 192, 7: 256},
    "2b810400": {
        **dict.fromkeys((1, 15), 163),
        **dict.fromkeys((26, 27), 233),
        **dict.fromkeys((16, 17), 283),
        **dict.fromkeys((36, 37), 409),
        **dict.fromkeys((38, 39), 571),
        33: 224,
        10: 256,
        34: 384,
        35: 521,
    },
    "2b24030302080101": {7: 256, 11: 384, 13: 512},
}

# Signatures with a weak hash; and how the identifiers of all others begin that OpenSSL verifies:
# SHA-2 with RSA, with ECDSA, NIST's other ones (SHA-2 alone or with DSA, SHA-3), Edwards curves.
_WEAK_HASHES = {
    "2a864886f70d010104": "MD5",
    **dict.fromkeys(
        ("2a864886f70d010105", "2b0e03021d", "2a8648ce380403", "2a8648ce3d0401"), "SHA1"
    ),
    "2b0e03021a": "SHA1",  # alone, as in the parameters of RSA-PSS
}
_STRONG = (
    *("2a864886f70d01010b", "2a864886f70d01010c", "2a864886f70d01010d", "2a864886f70d01010e"),
    *("2a8648ce3d0403", "60864801650304", "2b6570", "2b6571"),
)
# RSA-PSS names its hash in the parameters (RFC 4055): SHA-1 unless there is a field of this tag.
_PSS, _HASH_OF_PSS, _SHA1 = "2a864886f70d01010a", 0xA0, "2b0e03021a"


def key(fields: Fields) -> Key:
    """Return what is known of the public key. Raises ValueError or LookupError if unreadable."""
    algorithm, bits = values(first(fields.key).content)
    kind, *parameters = values(algorithm.content)
    number = kind.content.hex()
    if number in _RSA:
        return _sized("RSA", first(first(bits.content[1:]).content))
    if number == _DSA:
        return _sized("DSA", first(parameters[0].content))
    if number == _EC:
        curve = parameters[0].content
        size = _CURVES[curve[:-1].hex()][curve[-1]]
        return printable("EC {}", size), as_strong(size)
    if number in _EDWARDS:
        name, strong = _EDWARDS[number]
        return printable(name), strong
    return printable("of another kind"), None


def _sized(name: str, number: Value) -> Key:
    size = int.from_bytes(number.content, "big").bit_length()
    return printable("{} {}", name, size), size


def as_strong(bits: int) -> int:
    """Return the bits of the RSA key that is as strong as an elliptic curve's key."""
    return next(rsa for curve, rsa in _AS_STRONG_AS_RSA if bits >= curve)


def weakness(key: Key | None, fields: Fields, is_root: bool) -> Printable | None:
    """Name what makes the certificate weak, or None.

    The signature of a root does not count, because it is not verified. Raises ValueError or
    LookupError if the signature is unreadable.
    """
    if key and key[1] is not None and key[1] < _STRONG_BITS:
        return printable("{} key", key[0])
    hash_name = weak_hash(fields)
    return printable("{} signature", hash_name) if hash_name and not is_root else None


def weak_hash(fields: Fields) -> str | None:
    """Return the name of the signature's hash if it is a weak one. Raises as `weakness`."""
    kind, *parameters = values(first(fields.outer_algorithm).content)
    number = kind.content.hex()
    if number == _PSS:
        named = [each for each in values(parameters[0].content) if each.tag == _HASH_OF_PSS]
        number = first(first(named[0].content).content).content.hex() if named else _SHA1
    if number not in _WEAK_HASHES and not number.startswith(_STRONG):
        raise ValueError("unknown signature")
    return _WEAK_HASHES.get(number)
