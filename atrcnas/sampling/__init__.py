"""Sampling: drawing mixtures from logits, and settling them."""
