"""What the hub's own databases, and the group they are shared with, are called."""

FRIENDS = "friends"
ME = "me"
INBOX = "inbox"
CARD = "card"
"""The document in `me` that is the contact card."""
