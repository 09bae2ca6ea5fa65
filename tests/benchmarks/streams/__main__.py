"""A worker of the benchmark, as `worker.Workers` starts them."""

from tests.benchmarks.streams.worker import main

main()
