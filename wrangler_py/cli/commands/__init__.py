"""One file a command: its options, what it does, and how it shows the answer."""
