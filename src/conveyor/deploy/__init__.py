"""Puts a line onto a cluster and takes it away again: `conveyor deploy`, `doctor`, `destroy`."""
