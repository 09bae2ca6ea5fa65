"""What each kind of worker does: camera, vision, publisher. `pipeline.worker` is the process around them."""
