"""The searched networks beside every alternative: `python -m analysis.main_table.run`, then `.latency` and `.report`."""
