"""What `docs/planted.md` shows: the kinds that each plant confirms, and what searches find."""
