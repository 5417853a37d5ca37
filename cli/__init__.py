"""The espmail command: one file a command, named as it."""
