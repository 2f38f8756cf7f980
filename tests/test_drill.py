"""The drill: how it judges, where it refuses, and a small one."""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command

from project.drill.chaos import Kill
from project.drill.executions import Execution
from project.drill.options import Options, add_arguments
from project.drill.outages import Outage
from project.drill.report import Evidence, Report, report
from project.tasks.policy import Policy

RUN = uuid4()


def execution(pid: int, began_at: float, ended_at: float | None = None, *, run_id: UUID = RUN) -> Execution:
    outcome = "" if ended_at is None else "done"
    return Execution(run_id=run_id, pid=pid, began_at=began_at, ended_at=ended_at, outcome=outcome)


def judge(
    *executions: Execution,
    kills: tuple[Kill, ...] = (),
    outages: tuple[Outage, ...] = (),
    unsettled: int = 0,
    end: tuple[str, int] | None = ("succeeded", 0),
    limited: Mapping[str, Policy] = {},
) -> Report:
    evidence = Evidence(
        ends={RUN: end} if end else {},
        sent=[RUN],
        executions=executions,
        kills=kills,
        outages=outages,
        unsettled=unsettled,
        chaos={},
        most_deaths=3,
        limited=limited,
    )
    return report(evidence)


def test_a_run_that_was_executed_once_is_fine() -> None:
    verdict = judge(execution(1, 10, 11))
    assert (verdict.sent, verdict.succeeded, verdict.lost, verdict.more_than_once) == (1, 1, 0, 0)
    assert verdict.broken_promises() == []
    assert "Every promise was kept." in verdict.as_text()


@pytest.mark.parametrize("end", [None, ("queued", 0), ("dead", 0), ("cancelled", 3)])
def test_a_run_that_did_not_succeed_is_lost(end: tuple[str, int] | None) -> None:
    verdict = judge(execution(1, 10, 11), end=end)
    assert verdict.broken_promises() == ["1 runs were lost"]


def test_a_run_that_succeeded_without_having_been_executed_is_lost() -> None:
    assert judge().lost == 1
    assert judge(execution(1, 10)).lost == 1


def test_a_run_whose_worker_was_killed_three_times_is_poison_and_not_lost() -> None:
    verdict = judge(end=("dead", 3))
    assert (verdict.poison, verdict.lost) == (1, 0)


def test_a_killed_worker_explains_another_execution() -> None:
    verdict = judge(execution(1, 10), execution(2, 15, 16), kills=(Kill(1, 10.5),))
    assert (verdict.more_than_once, verdict.unexplained, verdict.concurrent) == (1, 0, 0)
    assert (verdict.rescues, verdict.rescue_p50, verdict.rescue_p99) == (1, 4.5, 4.5)


@pytest.mark.parametrize("kills", [(), (Kill(2, 10.5),), (Kill(1, 20.0),)])
def test_without_a_kill_in_between_another_execution_is_unexplained(kills: tuple[Kill, ...]) -> None:
    verdict = judge(execution(1, 10, 11), execution(2, 15, 16), kills=kills)
    assert verdict.broken_promises() == ["1 runs were executed again though no worker was killed"]


def test_executions_that_overlap_are_concurrent() -> None:
    assert judge(execution(1, 10, 15), execution(2, 14, 16)).concurrent == 1
    assert judge(execution(1, 10), execution(2, 14, 16), kills=(Kill(1, 15.0),)).concurrent == 1
    assert judge(execution(1, 10), execution(2, 14, 16)).concurrent == 1


def test_a_rescue_that_takes_too_long_breaks_a_promise() -> None:
    verdict = judge(execution(1, 10), execution(2, 26, 27), kills=(Kill(1, 10.5),))
    assert verdict.broken_promises() == ["p99 of the rescue is over 15 s"]


def test_while_a_server_is_out_nobody_can_rescue() -> None:
    outages = (Outage(9, 12), Outage(13, 24), Outage(25.5, 40))
    verdict = judge(execution(1, 10), execution(2, 26, 27), kills=(Kill(1, 10.5),), outages=outages)
    assert verdict.rescue_p99 == pytest.approx(2.5)


def test_a_batch_that_is_never_settled_breaks_a_promise() -> None:
    assert judge(execution(1, 10, 11), unsettled=2).broken_promises() == ["2 batches were never settled"]


@pytest.mark.parametrize(("starts", "over"), [((0, 0, 1, 1), 0), ((0, 0, 0.9, 1), 1), ((0, 0.5, 0.9, 1.2), 2)])
def test_starts_that_share_a_window_with_too_many_others_exceed_a_rate(starts: tuple[float, ...], over: int) -> None:
    executions = [replace(execution(1, 10, 11, run_id=uuid4()), task="t", started=started) for started in starts]
    assert judge(*executions, limited={"t": Policy(rate_limit="2/second")}).over_limit == over


@pytest.mark.parametrize(("keys", "over"), [("aba", 0), ("aaa", 1), ("bbb", 1)])
def test_executions_of_one_key_beside_too_many_others_exceed_its_slots(keys: str, over: int) -> None:
    executions = [replace(execution(1, 10 + n, 15, run_id=uuid4()), task="t", key=key) for n, key in enumerate(keys)]
    verdict = judge(*executions, limited={"t": Policy(max_concurrency=2)})
    assert verdict.over_limit == over
    assert ("1 executions exceeded a limit" in verdict.broken_promises()) == bool(over)


def test_options_survive_the_way_through_another_command_line() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = Options.of(vars(parser.parse_args(["--tasks", "7", "--configured", "--patience", "1.5"])))
    assert Options.of(vars(parser.parse_args(options.arguments()))) == options


def test_production_is_refused(settings: Any) -> None:
    settings.ENVIRONMENT_NAME = "production"
    with pytest.raises(CommandError, match="not run in production"):
        call_command("drill")
