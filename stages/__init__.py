"""What happens to a frame: decode, detect, segment, suppress, track, publish. Each stage is importable and usable alone."""
