"""`python -m signalbox_cli` is the `signalbox` command."""

from signalbox_cli.main import main

main(prog_name="signalbox")
