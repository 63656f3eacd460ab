"""What comes from outside: probed in a process that may be lost before anything else opens it."""
