"""Files in: recognising what they are, reading their rows, and understanding which column means what."""
