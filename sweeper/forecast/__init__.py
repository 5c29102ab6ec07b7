"""What a study will take before it begins: memory, steps, time, disk, from its config and the base's shapes alone."""
