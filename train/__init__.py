"""Training jobs, one per file: each is `python -m train.<job>`, reads files and writes files.

A job never opens the label database and never imports Gradio; the app starts it as a subprocess and reads its folder.
"""
