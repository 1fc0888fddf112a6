"""`python -m ponder` is the command line."""

from ponder.cli import main

if __name__ == "__main__":
    main()
