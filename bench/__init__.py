"""What the hub costs: `make bench`."""
