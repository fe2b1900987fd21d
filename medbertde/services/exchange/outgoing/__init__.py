"""Files out: which labels are wanted, and one writer per format."""
