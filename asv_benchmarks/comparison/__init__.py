"""What `make compare` is made of: a file a table, what they share, and the picture."""
