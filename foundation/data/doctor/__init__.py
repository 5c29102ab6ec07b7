"""What is amiss with a set of pictures, and what to add: `sweeper prepare doctor`."""
