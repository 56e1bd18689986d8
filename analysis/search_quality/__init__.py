"""How good the searches are, by the tables of ContextBench: `run`, `lookup`, then `report`."""
