"""Where slides come from: one file a source, all of them listed in the registry."""
