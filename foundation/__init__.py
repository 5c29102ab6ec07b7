"""What every package stands on: the error tree, durable files, config parsing and composition."""
