"""How good the searches are, by the table of all configs of `rooms-small`: `run`, `lookup`, then `report`."""
