"""Mutated recordings and streams, read by the real reader in a process that may die of them."""
