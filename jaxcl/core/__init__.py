"""Types, errors, random streams, pytrees, sharding, batching and processes."""
