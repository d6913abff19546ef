"""`python -m conveyor`: the command line without its script."""

from conveyor.cli import main

if __name__ == "__main__":
    main()
