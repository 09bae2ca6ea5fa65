"""What carries messages between two workers: in memory, or over ZeroMQ with pixels in shared memory."""
