"""The metrics of the table in spec/metrics.py; each module is imported when its metric is first built."""
