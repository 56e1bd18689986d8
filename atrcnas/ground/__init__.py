"""Ground: what every other room stands on (errors, registry, files)."""
