"""Slide and microRNA of the same real patients, joined late; for people with a network, since the slides are not at hand."""
