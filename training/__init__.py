"""From data to a proven bundle, on the command line; the only place with TensorFlow."""

from cervix.silence import report_nothing

report_nothing()
