"""How a ledger that an older Conveyor made becomes what `schema` says now.

New ledgers are made from `schema` at once; alembic only runs where something is to be changed.
"""
