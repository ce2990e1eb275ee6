"""`python -m cloudassist_tasks.cli` is `cloudassist`."""

from cloudassist_tasks.cli.app import main

main()
