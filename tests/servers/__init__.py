"""Real servers for the tests, each started on this machine and taken down with its test."""
