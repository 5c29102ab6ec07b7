"""Where a study is shown: the `tracking` group of the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from foundation.config.home import Address
from foundation.config.installed import NameIn
from foundation.secrets import hide
from sweeper.tracking import TITLES, TRACKERS

if TYPE_CHECKING:
    TrackerName = str
else:
    TrackerName = Annotated[str, NameIn(TRACKERS)]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackingSpec:
    """Where runs are shown."""

    name: TrackerName = "mlflow"
    """Which tracker shows them; what counts is there, and the others of `also` are beside it."""
    also: tuple[TrackerName, ...] = ()
    """Trackers that show the same beside it: `[tensorboard,wandb]`. One that fails is a line, and costs no study."""
    uri: Annotated[Address, AfterValidator(hide)] | None = None
    """A tracking server or database; None is `mlflow.db` in the study's folder. A password in it is kept in memory
    alone; `${oc.env:NAME}` takes the whole from the environment, so that no list of processes shows it."""
    experiment: Annotated[str, Field(min_length=1)]
    """The MLflow experiment that holds the study's runs."""
    model: Annotated[str, Field(min_length=1)]
    """The registered model whose alias `champion` is the winner."""
    register: Literal["better", "always", "never"] = "better"
    """When a study's best becomes the champion: `better`, only where its score is above the base's by more than noise
    (95 % intervals of the score, or of style and validation loss, and a point or more); `always`; `never`."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What a tracker of another package wants to know beside; mlflow takes none."""

    @property
    def in_our_files(self) -> bool:
        """Whether it keeps all in a database of our own beside the study, which is there once the study is shown."""
        return self.name == "mlflow" and self.uri is None

    @property
    def title(self) -> str:
        """What messages call it."""
        return TITLES.get(self.name, self.name)

    def __post_init__(self) -> None:
        if self.name in self.also or len(set(self.also)) < len(self.also):
            raise ValueError(
                f"tracking.also must name others than tracking.name, each once, got {', '.join(self.also)}"
            )
        if self.name == "mlflow" and self.settings:
            raise ValueError(f"tracking.settings are for other trackers than mlflow, got {', '.join(self.settings)}")
