"""Starting a study from the page: a form of allowed fields, what its command comes to, and its first minute."""
