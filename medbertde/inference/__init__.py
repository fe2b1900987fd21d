"""Models: loading and checking folders, answering, explaining. Knows torch, but neither databases nor pages."""
