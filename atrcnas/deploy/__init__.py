"""Shipping a fixed network: export with proof, prediction on images."""
