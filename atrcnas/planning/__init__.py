"""What an experiment will cost, before it runs: a few real steps, the rest by arithmetic and shapes."""
