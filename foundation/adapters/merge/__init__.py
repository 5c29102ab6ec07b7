"""What can be done with adapters after training: merged into a base and out again, combined, given another rank."""
