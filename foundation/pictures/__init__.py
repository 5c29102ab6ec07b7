"""Pictures for people to look at: tiles, text on them, sheets of many."""
