"""How the losses of the tasks are weighed against each other; registered in spec/loss_weighting.py."""
