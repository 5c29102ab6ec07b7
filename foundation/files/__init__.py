"""Files that are whole and unharmed: durable writes, checksums, archives, JSON and YAML, SQLite."""
