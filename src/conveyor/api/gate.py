"""How much may be sent to the API, decided by a request's head: uploads need the token."""

from http import HTTPStatus

from conveyor.api.callers import shows_token, token_fault
from conveyor.api.route import MAX_UPLOAD
from conveyor.codec import MAX_BATCH_BYTES
from conveyor.web import Head, Refusal, too_large


class TokenGate:
    """Implements web.Gate: a batch of events is taken from anyone, an upload with the token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def most(self, head: Head) -> int:
        """See Gate.most."""
        return MAX_UPLOAD if shows_token(head.authorization, self._token) else MAX_BATCH_BYTES

    def refuse_size(self, head: Head) -> Refusal | None:
        """See Gate.refuse_size."""
        most = self.most(head)
        if head.length <= most:
            return None
        if most == MAX_BATCH_BYTES:
            return Refusal(status=HTTPStatus.UNAUTHORIZED, message=token_fault(head.authorization))
        return too_large(head, most)
