"""The join token: the one line of text that a person carries from the hub to a new site.

`dizuo-join-` and then, in URL-safe base64 without padding, a JSON object with the hub's `url`, a
one-time `secret`, and `root_sha256`, the digest of the TUF root the site must trust. Whoever holds
the line can enrol one site once; whoever changes it cannot make a site trust another root unless
they replace the whole line.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dizuo.core.addresses import require_private
from dizuo.core.digests import DIGEST_PATTERN, canonical_json
from dizuo.core.errors import InvalidInput

PREFIX = "dizuo-join-"
_MAX_CHARACTERS = 2000
_ALPHABET = re.compile(r"[A-Za-z0-9_-]+")


class JoinTokenMalformed(InvalidInput):
    """The text is not a join token, or was cut or changed on its way."""

    code = "join_token_malformed"


class JoinToken(BaseModel):
    """What a join token says."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=500)]
    secret: Annotated[str, Field(min_length=16, max_length=200, repr=False)]
    root_sha256: Annotated[str, Field(pattern=f"^{DIGEST_PATTERN.pattern}$")]

    def encode(self) -> str:
        """The one line of text.

        Raises:
            InsecureAddress: the site would send its secret unencrypted to another machine.
        """
        require_private(self.url)
        packed = base64.urlsafe_b64encode(canonical_json(self.model_dump()))
        return PREFIX + packed.decode().rstrip("=")


def decode(text: str) -> JoinToken:
    """Read a join token; white space around it does not matter.

    Raises:
        JoinTokenMalformed: it is not one. The sentence never repeats the token.
        InsecureAddress: its secret would be sent unencrypted to another machine.
    """
    line = text.strip()
    if not line.startswith(PREFIX):
        raise _malformed(f"A join token starts with {PREFIX}.")
    packed = line.removeprefix(PREFIX)
    if len(line) > _MAX_CHARACTERS or not _ALPHABET.fullmatch(packed):
        raise _malformed("The join token has characters that do not belong to it.")
    try:
        token = JoinToken.model_validate_json(
            base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        )
    except (binascii.Error, ValidationError) as error:
        raise _malformed("The join token was cut or changed.") from error
    require_private(token.url)
    return token


def _malformed(sentence: str) -> JoinTokenMalformed:
    return JoinTokenMalformed(
        sentence, next_step="Copy the whole line that `dizuo site token` printed."
    )
