"""Proof of delivery: schedules of kills and broken brokers, and a check of what a reader has at the end."""
