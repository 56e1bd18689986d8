"""Speed and memory of the heads against the structure of the published code: `python -m analysis.bench`."""
