"""A policy as a service shows it, for people: its text, its name, and whose signature it has.

Read laxly, for another service may have taken a policy that this one would refuse; nothing is judged by what is made here.
"""

from dataclasses import dataclass, field

from donjon.errors import DonjonError, Malformed
from donjon.policy import forms
from donjon.signing import jws


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDocument:
    """The policy in a token: `read` makes one."""

    text: str = field(repr=False)  # empty where no policy is set, and none is the default
    signature: str  # in words

    @property
    def hash(self) -> str:
        """By which attestation tokens and the audit name a policy of that text."""
        return forms.hash_of(self.text)


def read(token: str) -> PolicyDocument:
    """The policy of that token; raises `Malformed` DJ440, and as `forms.unwrap` does."""
    _, _, rest = token.partition(".")
    is_empty = not rest.partition(".")[0]
    text = "" if is_empty else forms.unwrap(_ascii(token)).text
    return PolicyDocument(text=text, signature=_signature(token))


def _ascii(token: str) -> bytes:
    try:
        return token.encode("ascii")
    except UnicodeEncodeError as error:
        raise Malformed("DJ440", "policy token: expected a JSON web token, which is ASCII") from error


def _signature(token: str) -> str:
    try:
        signer = jws.prove(jws.parse(token, "policy"))
    except DonjonError as error:
        return f"its signature proves nothing here: {error}"
    return "unsigned" if signer is None else f"signed by {signer.thumbprint()}"
