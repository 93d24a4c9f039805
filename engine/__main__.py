"""``python -m engine`` is the command ``engine``."""

from engine.cli.app import main

if __name__ == "__main__":
    main()
