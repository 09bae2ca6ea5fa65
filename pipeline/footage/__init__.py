"""Recorded footage, file by file: which there are, where the results of each lie, and working through them."""
