"""Tables of many women: cut by woman into buckets that fit into memory, each then read and scored as one table is."""
