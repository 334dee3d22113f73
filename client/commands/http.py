"""The verbs about the HTTP listener: its token and its address.

Runs in: the user's shell. Libraries are imported inside the verbs: `steno --help` must not wait for them.
"""

import os

import typer

from client.commands.jobs import Json
from client.terminal import output
from client.terminal.errors import Refusal

app = typer.Typer(help="The HTTP listener for other programs: its token and its address.", no_args_is_help=True)


@app.command(epilog="\nExample:\n  export OPENAI_API_KEY=$(steno http token)")
def token(json: Json = False) -> None:
    """Print the token that clients send as `Authorization: Bearer TOKEN`."""
    from config.ownership import make_private
    from config.places import find_places
    from ipc.http_token import read_token, token_file

    state = find_places().state
    try:
        make_private(state)
        found = read_token(state)
    except OSError as error:
        raise Refusal(
            "no_token", f"{token_file(state)} cannot be read: {error.strerror}", "check the folder's owner"
        ) from error
    if json:
        output.print_data({"token": found})
    else:
        output.print_line(found)


@app.command(epilog="\nExample:\n  export OPENAI_BASE_URL=$(steno http url)/v1")
def url(json: Json = False) -> None:
    """Print the address of the listener, without /v1."""
    from config.loader import ConfigError, load
    from config.places import find_places

    try:
        listen = load(find_places(), os.environ).settings.http.listen
    except ConfigError as wrong:
        raise Refusal("bad_config", str(wrong), "`steno config check` shows each mistake") from wrong
    if listen is None:
        raise Refusal(
            "http_is_off", "the HTTP listener is off", 'set `listen = "127.0.0.1:9000"` under [http], and restart'
        )
    # A client on this computer reaches every address under the loopback one.
    address = listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")
    if json:
        output.print_data({"url": f"http://{address}"})
    else:
        output.print_line(f"http://{address}")
