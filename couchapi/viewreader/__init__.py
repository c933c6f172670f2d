"""Reading views: finding and bringing up to date an index, then sending what it holds.

Rows and groups are read, rendered and sent by the page, so that a long answer costs no more
memory than a short one.
"""
