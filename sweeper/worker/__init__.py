"""A worker's process: one device, a pack of trials that train on it, and their judge."""
