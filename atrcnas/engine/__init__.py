"""Engine: searching, retraining and evaluating, in run folders that survive interruption."""
