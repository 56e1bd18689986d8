"""Data: data sets as NumPy samples, augmentation, and their way into the training engine."""
