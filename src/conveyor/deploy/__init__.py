"""What brings a line onto a cluster, looks whether it can be there, and takes it away again."""
