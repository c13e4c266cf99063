"""`python -m mcpc`: the command line, where the script `mcpc` is not on the path."""

from mcpc.cli import main

if __name__ == "__main__":
    main()
