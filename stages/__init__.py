"""What happens to a frame: decode, detect, segment, suppress, track, publish. Each is importable and usable alone."""
