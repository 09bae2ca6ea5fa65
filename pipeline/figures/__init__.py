"""What results come to over time: counts, dwell, lines and zones, of results that were written to files."""
