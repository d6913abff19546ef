"""A line deployed to a cluster, as the tests of tests/cluster drive it."""
