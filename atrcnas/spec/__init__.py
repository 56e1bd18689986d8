"""Spec: what is asked for (tasks, kinds, pairs, search spaces, context configs, experiments). No torch here."""
