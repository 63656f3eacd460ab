"""What other systems of a hospital read and write: DICOM, FHIR, CDS Hooks."""
