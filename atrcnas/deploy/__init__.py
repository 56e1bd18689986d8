"""Shipping a fixed network: folding, export with proof, prediction on images, costs."""
