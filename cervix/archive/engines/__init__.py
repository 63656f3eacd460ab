"""Where slides of an archive are scored: the devices of this machine, or those of a Ray cluster.

Both do the same work (``cervix.archive.work``); only they know how work reaches a device and how one is replaced.
"""
