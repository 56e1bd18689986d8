"""Loggers: thin clients of what shows a run while it trains; which of them a run has is its own choice."""
