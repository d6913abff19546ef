"""The composition root of a function on a cluster: settings, adapters, one station."""
