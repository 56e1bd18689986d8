"""Context kinds: one file each; a kind is a module over a list of pairs."""
