"""The program `nats3`."""

from nats3.cli.app import main

if __name__ == "__main__":
    raise SystemExit(main())
