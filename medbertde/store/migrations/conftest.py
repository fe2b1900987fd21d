"""Keeps pytest's doctest collection from importing `env.py`, which only Alembic can run."""

collect_ignore = ["env.py"]
