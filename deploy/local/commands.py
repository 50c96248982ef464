"""The commands of the local runner. Exit status: 0 done, 1 the mesh or the command in it failed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from deploy.local import background, logs
from deploy.local.home import DEFAULT_DIRECTORY, Home, PortTakenError, open_home
from deploy.local.journal import Journal
from deploy.local.process import child_environment
from deploy.local.servers.wheels import MissingServerError, script
from gateway.cli.mesh import DEFAULT_USER, mint_token, read_endpoints

LOG_LINES = 20
STUDIO_TOKEN_S = 12 * 3600
"""How long the token in the printed address is good."""

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)

Ports = Annotated[
    Literal["fixed", "free"] | None,
    typer.Option(help="Listen on the fixed ports (gateway: 8080) or on free ones; default: as the last time."),
]


@app.callback()
def _root(
    context: typer.Context,
    state_dir: Annotated[Path, typer.Option(help="Where the mesh keeps its data, keys and logs.")] = DEFAULT_DIRECTORY,
) -> None:
    """The whole Kinemesh on this machine, from the installed wheels."""
    context.obj = state_dir


@app.command()
def up(context: typer.Context, ports: Ports = None) -> None:
    """Start the mesh in the background; return when all of it is ready."""
    home = _open(context, ports)
    with _reported():
        background.start(home, tell=print)
    print(f"studio   {studio_url(home)}")
    print(f"gateway  {home.gateway_url}")
    print(f"debug    http://{home.address('debug')}")
    print(f"token    {script('kinemesh')} --state-dir {home.directory} token")


@app.command()
def run(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    model: Annotated[str, typer.Option(help="Tier or model.")] = "realtime",
    output: Annotated[Path, typer.Option(help="Directory or file for the MP4.")] = Path("out"),
    ports: Ports = None,
) -> None:
    """Make one video: start the mesh unless it runs, generate, download, and stop what was started."""
    home = _open(context, ports)
    was_running = background.supervisor_pid(home) is not None
    command = [str(script("kinemesh")), "--state-dir", str(home.directory)]
    with _reported():
        try:
            background.start(home, tell=print)
            generate = [*command, "generate", prompt, "--model", model, "--output", str(output)]
            status = subprocess.run(generate, env=child_environment({}), check=False).returncode
        finally:
            if not was_running:
                background.stop(home)
    raise typer.Exit(status)


@app.command()
def down(context: typer.Context) -> None:
    """Stop the mesh; its data stays."""
    was_running = background.stop(_open(context))
    print("stopped" if was_running else "the mesh does not run")


@app.command()
def status(context: typer.Context) -> None:
    """Say which processes run; exit status 1 unless the whole mesh is ready."""
    home = _open(context)
    journal = Journal.read(background.journal_file(home))
    running = background.supervisor_pid(home) is not None
    phase = journal.phase if running or journal.phase in ("failed", "stopped") else "killed"
    print(f"mesh     {phase}")
    for name, record in journal.processes.items() if running else ():
        print(f"  {name:<14} {record.state:<9} process {record.pid}, {record.restarts} restarts")
    if journal.error:
        print(journal.error)
    if running:
        print(f"gateway  {home.gateway_url}")
    raise typer.Exit(0 if running and phase == "ready" else 1)


@app.command("logs")
def show_logs(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Processes; all when none is named.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is appended.")] = False,
) -> None:
    """Show the logs, each line behind the name of its process."""
    directory = _open(context).logs
    for line in logs.recent(logs.log_files(directory, names or []), LOG_LINES):
        print(line)
    with contextlib.suppress(KeyboardInterrupt):
        for line in logs.follow(directory, names or []) if follow else ():
            print(line, flush=True)


@app.command(hidden=True)
def supervise(context: typer.Context) -> None:
    """Run the mesh in the foreground; `up` starts this."""
    raise typer.Exit(background.supervise(_open(context)))


def studio_url(home: Home) -> str:
    """The web page with a token for it, in the fragment, which a browser sends to nobody."""
    token = mint_token(home.directory, read_endpoints(home.directory), DEFAULT_USER, STUDIO_TOKEN_S)
    return f"{home.gateway_url}/#token={token}"


def _open(context: typer.Context, ports: Literal["fixed", "free"] | None = None) -> Home:
    home = open_home(context.obj)
    if ports is None or background.supervisor_pid(home) is not None:
        return home
    return open_home(context.obj, ports=ports)


@contextlib.contextmanager
def _reported() -> Iterator[None]:
    """Failures whose message is meant for the user, without a stack trace."""
    try:
        yield
    except (background.MeshError, PortTakenError, MissingServerError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
