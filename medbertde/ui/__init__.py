"""The page: Gradio layout, handlers and cards. Talks to services only."""
