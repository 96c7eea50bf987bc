"""`gateway` and `python -m gateway`."""

from __future__ import annotations

from gateway.cli.app import run_cli


def main() -> None:
    """Run the command line."""
    run_cli()


if __name__ == "__main__":
    main()
