"""The rows of jobs and links; each function is one job for `acl.sql`."""
