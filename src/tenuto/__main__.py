"""``python -m tenuto``: the same as the command ``tenuto``."""

from tenuto.cli import main

if __name__ == "__main__":
    main()
