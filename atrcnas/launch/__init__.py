"""Many trials: the strategies that score configs one by one, sweeps, and where their trials run."""
