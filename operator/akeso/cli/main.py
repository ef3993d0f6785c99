"""The commands and their options. Each body is a few lines; what it needs is imported when it runs."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

app = typer.Typer(
    no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Akeso heals Kubernetes workloads: from a firing alert to a verified fix.")

Namespace = Annotated[str, typer.Option(
    "--namespace", "-n", help="Namespace; else the kubeconfig's own, or all where it names none.")]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")]
Output = Annotated[Literal["table", "json", "name"], typer.Option("--output", "-o")]
Kubeconfig = Annotated[str, typer.Option("--kubeconfig", help="Path; else as kubectl finds its own.")]
Comment = Annotated[str, typer.Option("--comment", help="Why; kept in the Approval.")]


@app.command()
def run(
    database_url: Annotated[str, typer.Option(help="Postgres URL; an embedded Postgres when left out.")] = "",
    listen: Annotated[str, typer.Option(help="host:port of the webhook receiver, health and metrics.")] = "",
    kubeconfig: Kubeconfig = "",
) -> None:
    """Run the operator. Every setting is also an AKESO_ environment variable."""
    import uvloop  # its TLS and sockets take half the CPU of asyncio's

    from akeso.cli.operator import run_operator
    host, _, port = listen.rpartition(":")
    if listen and not port.isdigit():
        raise typer.BadParameter("must be host:port, such as 127.0.0.1:8080", param_hint="--listen")
    _sync(run_operator, database_url=database_url or None, kubeconfig=kubeconfig or None,
          listen_host=host or None, listen_port=int(port) if port else None, loop=uvloop.new_event_loop)


@app.command("get")
def get_(
    name: Annotated[str, typer.Argument(help="A WorkflowRun; all of them when left out.")] = "",
    namespace: Namespace = "", all_namespaces: AllNamespaces = False, output: Output = "table",
    kubeconfig: Kubeconfig = "",
) -> None:
    """List runs: what was healed, what waits for you, what failed."""
    from akeso.cli.runs import get
    _sync(get, kubeconfig, name=name, namespace=namespace, everywhere=all_namespaces, output=output)


@app.command()
def describe(run: str, namespace: Namespace = "", kubeconfig: Kubeconfig = "") -> None:
    """Everything about one run: conditions, steps, approvals, story."""
    from akeso.cli.runs import describe as describe_
    _sync(describe_, kubeconfig, name=run, namespace=namespace)


@app.command()
def why(run: str, namespace: Namespace = "", output: Output = "table", kubeconfig: Kubeconfig = "") -> None:
    """Why a run did what it did: alert, evidence, question, answer, gate, action, verification, a line each."""
    from akeso.cli.runs import why as why_
    _sync(why_, kubeconfig, name=run, namespace=namespace, output=output)


@app.command()
def approve(run: str, namespace: Namespace = "", comment: Comment = "", kubeconfig: Kubeconfig = "") -> None:
    """Agree to the exact change that a run waits with."""
    from akeso.cli.approvals import decide
    _sync(decide, kubeconfig, run=run, namespace=namespace, decision="Approved", comment=comment)


@app.command()
def deny(run: str, namespace: Namespace = "", comment: Comment = "", kubeconfig: Kubeconfig = "") -> None:
    """Say no to the change that a run waits with."""
    from akeso.cli.approvals import decide
    _sync(decide, kubeconfig, run=run, namespace=namespace, decision="Denied", comment=comment)


@app.command()
def simulate(
    alert: Annotated[Path, typer.Argument(help="An Alertmanager webhook payload, or one alert of it. - for stdin.",
                                          allow_dash=True)],
    output: Output = "table", kubeconfig: Kubeconfig = "",
    database_url: Annotated[str, typer.Option(help="The operator's database, for cooldowns and locks.")] = "",
) -> None:
    """What would happen for this alert: which Workflow, which gate would refuse, which diff. Changes nothing."""
    from akeso.cli.simulate import simulate_file
    _sync(simulate_file, kubeconfig, alert, output=output, database_url=database_url)


@app.command()
def doctor(
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Where the operator runs.")] = "akeso-system",
    server: Annotated[str, typer.Option(help="URL of a running operator, to check what it sees.")] = "",
    output: Output = "table", kubeconfig: Kubeconfig = "",
) -> None:
    """Check the installation. Each line that fails shows the one command that fixes it."""
    from akeso.cli.doctor import examine
    _sync(examine, kubeconfig, namespace=namespace, server=server, output=output)


@app.command()
def rbac(
    actions: Annotated[list[str] | None, typer.Argument(help="Actions that the account must be able to do.")] = None,
    service_account: Annotated[
        str, typer.Option(help="The ServiceAccount that a Workflow names.")] = "akeso-remediator",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Its namespace.")] = "default",
    cluster_wide: Annotated[bool, typer.Option(help="For a ClusterWorkflow: ClusterRole, not Role.")] = False,
    secret: Annotated[
        list[str] | None,
        typer.Option(help="Only this: let the operator read a Secret that a ModelEndpoint names.")] = None,
) -> None:
    """Print the least RBAC for a Workflow: pipe it into kubectl apply -f -"""
    from akeso.cli.offline import print_rbac
    _plain(print_rbac, actions or [], service_account, namespace, cluster_wide, secret or [])


@app.command()
def actions(output: Output = "table") -> None:
    """List the registered actions, what they promise and how they are undone."""
    from akeso.cli.offline import print_actions
    _plain(print_actions, output)


@app.command("eval")
def eval_(
    directory: Annotated[Path, typer.Argument(help="Folder of scenarios: DIR/*/scenario.yaml.")],
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o")] = "text",
) -> None:
    """Decide over frozen scenarios, without a cluster, and score the decisions."""
    from akeso.cli.offline import evaluate
    _plain(evaluate, directory, output)


def _sync(command: Any, /, *args: Any, loop: Callable[[], Any] | None = None, **options: Any) -> None:
    import asyncio
    with asyncio.Runner(loop_factory=loop) as runner:
        _plain(lambda: runner.run(command(*args, **options)))


def _plain(command: Any, /, *args: Any, **options: Any) -> None:
    """Run it; an error of ours is one readable line and exit code 1."""
    from akeso.cli.output import clean
    from akeso.errors import AkesoError
    try:
        command(*args, **options)
    except AkesoError as error:
        typer.echo(f"Error: {clean(error)}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def main() -> None:
    app()
