"""`python -m ikkan` is the `ikkan` command."""

from ikkan.cli import main

if __name__ == "__main__":
    main()
