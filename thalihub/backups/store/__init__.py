"""The rows of backups, and loading them into empty tables."""
