"""What hangs on env."""
