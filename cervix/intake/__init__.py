"""Getting slides in: resumable uploads, archives, inbox folders, and what is remembered of slides seen."""
