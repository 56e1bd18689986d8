"""atrcnas."""
