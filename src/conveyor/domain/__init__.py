"""What the line knows and decides: pure, standard library only, no input or output."""
