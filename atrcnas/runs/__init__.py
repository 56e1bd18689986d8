"""Run folders: where each file of a run lies, its tables and results, and who may write it. No torch here."""
