"""`python -m project.drill`, which `manage.py drill` becomes: the servers, then Django on them, then the drill."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from project.drill.options import Options, add_arguments
from project.embedded.postgres import postgres
from project.embedded.server import Server
from project.embedded.valkey import valkey


def main() -> int:
    """Run a drill; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="drill")
    add_arguments(parser)
    options = Options.of(vars(parser.parse_args()))
    directory, broken = Path(tempfile.mkdtemp(prefix="drill-")), True
    try:
        with ExitStack() as stack:
            broken = _drill(options, directory=directory, stack=stack)
    finally:
        if broken or options.keep:
            sys.stderr.write(f"The logs are in {directory}.\n")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return int(broken)


def _drill(options: Options, *, directory: Path, stack: ExitStack) -> bool:
    servers = () if options.configured else _start_servers(directory, stack)
    os.environ["DATABASE_POOL_SIZE"] = str(options.threads + 22)
    _load(migrate=not options.configured)
    from project.drill.clean_up import clean_up  # noqa: PLC0415 - needs Django
    from project.drill.run import drill  # noqa: PLC0415

    if options.configured and not options.keep:
        stack.callback(clean_up)
    database, broker = servers or (None, None)
    report = drill(options, directory=directory, database=database, valkey=broker)
    sys.stdout.write(f"{json.dumps(report.as_json()) if options.json else report.as_text()}\n")
    return bool(report.broken_promises())


def _start_servers(directory: Path, stack: ExitStack) -> tuple[Server, Server]:
    """Start servers of the drill's own, and make them the environment's."""
    servers = postgres(directory / "postgres"), valkey(directory / "valkey")
    for server in servers:
        server.start()
        stack.callback(server.stop)
    for server in servers:
        server.wait_until_ready()
    os.environ |= {"DATABASE_URL": servers[0].url, "REDIS_URL": servers[1].url}
    os.environ |= {"ENVIRONMENT": "test", "ENV_FILE": os.devnull}
    return servers


def _load(*, migrate: bool) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.drill.settings"
    import django  # noqa: PLC0415 - its settings are made above

    django.setup()
    if migrate:
        from django.core.management import call_command  # noqa: PLC0415

        call_command("migrate", verbosity=0)


if __name__ == "__main__":
    sys.exit(main())
