"""The databases that the hub itself keeps: `addressbook`, `me` and `inbox`.

They are ordinary databases, so they replicate like any other, and any Couch client of the owner
can read them.
"""

from replication.books.keeping import ask_friends, keep, keep_once

__all__ = ["ask_friends", "keep", "keep_once"]
