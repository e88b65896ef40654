"""What the `replay` command can do, a file a command."""
