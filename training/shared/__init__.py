"""What several models need."""
