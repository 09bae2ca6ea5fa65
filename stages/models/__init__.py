"""Networks: how they run, how they are trained, evaluated and exported."""
