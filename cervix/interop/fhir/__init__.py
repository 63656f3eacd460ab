"""FHIR R4 and R5: answers as resources."""
