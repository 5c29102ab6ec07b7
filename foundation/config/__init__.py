"""A command's configuration: Hydra's YAML and `key=value` into frozen dataclasses, with every mistake reported."""
