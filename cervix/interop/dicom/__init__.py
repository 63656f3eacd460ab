"""A scored DICOM slide as DICOM objects."""
