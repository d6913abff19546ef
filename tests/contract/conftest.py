"""A server for the promises of the ledger."""

from servers.postgres import postgres

__all__ = ["postgres"]
