"""Many studies one after another, or several at once on several devices: `sweeper batch`."""
