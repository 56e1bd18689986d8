"""``python -m atrcnas``: the command line."""

from atrcnas.cli import main

if __name__ == "__main__":
    main()
