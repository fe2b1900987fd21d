"""De-identification: what in a German clinical text names a person or a place, and the text without it.

Core: text in, spans out. Knows no database, no page and no model.
"""
