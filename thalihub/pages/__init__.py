"""The pages of the owner: what each shows, and what its forms do."""
