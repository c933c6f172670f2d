"""Backups of the hub while it runs, and the way back.

A backup is a stream of frames (`frames`), sealed to a passphrase (`sealing`).  `dumping` reads one
snapshot of the tables, whichever database has them, and after it the files of attachments.
`restoring` opens a chain, a whole backup and what was added to it, and `store/loading` puts it into
empty tables.  `schedule` makes backups by itself, and proves that they can be restored.
"""
