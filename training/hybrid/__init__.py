"""History and slide together, on made-up pairs."""
