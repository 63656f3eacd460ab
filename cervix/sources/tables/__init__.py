"""Where tables come from: one file a kind of file, all of them listed in the registry."""
