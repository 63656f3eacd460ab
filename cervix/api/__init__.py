"""The scoring API: slides and patients by HTTP, for programs, in the app's server or in one without pages."""
