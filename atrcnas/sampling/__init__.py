"""Search: drawing mixtures from logits, and settling them."""
