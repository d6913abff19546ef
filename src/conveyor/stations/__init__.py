"""One module per station: read, decide, act, answer."""
