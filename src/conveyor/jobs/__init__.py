"""Runs that take longer than an event may: a supervisor, its fences and what it stores."""
