"""The commands of `python -m medbertde`, one module for each thing they are about."""
