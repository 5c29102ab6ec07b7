"""The reference page `docs/reference.md`, made from the dataclasses and the YAML that it describes."""
