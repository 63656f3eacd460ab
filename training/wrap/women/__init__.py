"""Models of tables and of histories of women from elsewhere."""
