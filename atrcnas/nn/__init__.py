"""Networks: backbone, task features, context kinds, fusion, heads, and the one model that is all of them."""
