"""What supervisor and workers both know: the config, messages, and what lies on the disk."""
