"""The processes of a hub, and who keeps them running."""
