"""CloudEvents on the wire and in storage, and the signatures on them."""

from conveyor.codec.keyring import LINE, SERVE, Keyring
from conveyor.codec.messages import (
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    Reply,
    check_publishable,
    decode,
    decode_batch,
    encode,
    from_json,
    to_json,
)
from conveyor.codec.strict import canonical
from conveyor.codec.uncounted import UNCOUNTED, is_marked, mark

__all__ = [
    "LINE",
    "MAX_BATCH_BYTES",
    "MAX_BATCH_EVENTS",
    "SERVE",
    "UNCOUNTED",
    "Keyring",
    "Reply",
    "canonical",
    "check_publishable",
    "decode",
    "decode_batch",
    "encode",
    "from_json",
    "is_marked",
    "mark",
    "to_json",
]
