"""Hands the arguments of a Hydra multirun to `sweeper.study.run`; what a study is lives there."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from foundation.console import complain
from foundation.errors import UserError

ConfigStore.instance().store(group="hydra/sweeper", name="study", node={"_target_": f"{__name__}.StudySweeper"})


class StudySweeper(Sweeper):
    """Runs one study, and ends the process with its exit code."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's launcher and task function are not used: trials run in the study's own workers."""

    def sweep(self, arguments: list[str]) -> None:
        """Run the study that `arguments` (overrides, sweeps among them) describe.

        Raises:
            SystemExit: always when the study did not end well; after one clear line, 2 where the input is bad.
        """
        from sweeper.study.run import run_study  # Hydra scans its plugins at every start; torch is not for that

        try:
            code = run_study(arguments)
        except UserError as error:
            complain(error)
            raise SystemExit(error.exit_code) from None
        if code:
            raise SystemExit(code)
