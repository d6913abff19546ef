"""Where data is kept and checked: the bucket, the history, the readings of both."""
