"""Speaking to a pipeline that runs: a socket of its own, requests with types, the sources that were added to it."""
