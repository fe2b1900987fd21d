"""Label schemas, the fictional reports, the embedded models and the scripts that made them."""
