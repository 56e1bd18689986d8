"""How the tables of atrcnas.contextbench are made: `python -m analysis.contextbench.make`."""
