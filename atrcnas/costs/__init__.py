"""What contexts cost, and choosing within a budget."""
