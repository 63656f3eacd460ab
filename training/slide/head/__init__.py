"""A slide head over the embeddings of the bundle's tile model: gated attention, fitted on pseudo-slides."""
