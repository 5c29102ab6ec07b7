"""The supervisor's process: it owns a study, deals trials to workers, and decides what becomes of them."""
