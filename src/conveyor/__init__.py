"""Conveyor: an event-driven, serverless model assembly line."""
