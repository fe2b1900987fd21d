"""What is said beside an answer: remarks on a text that a model may read badly, or that should not be here as it is.

Pure text and plain numbers in, `Notice` out; rules only, linear in the text. Knows `privacy`, no page and no model.
"""
