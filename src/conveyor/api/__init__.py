"""What people and programs may ask of a line and tell it, over HTTP with a token."""
