"""The page of a study: one reading of it, drawn live by a small server, or from one file. It only reads studies."""
