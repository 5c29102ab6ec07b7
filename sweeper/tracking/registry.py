"""The model registry: versions of a registered model, each a study's winner, and the alias of the last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mlflow import MlflowClient

CHAMPION: Final = "champion"
"""The registered model's alias of the winner."""
MAX_DESCRIPTION: Final = 5000
"""Characters that a registry's database takes (`mlflow.store.model_registry.dbmodels`)."""
_LASTS: Final = ("study_id", "trial", "sha256")
"""Tags by which a winner is known again."""


def register_version(
    client: MlflowClient, model: str, source: str, run_id: str, tags: Mapping[str, str], description: str
) -> str:
    """Return the version of the registered `model` with these `tags`, new or as it was, now the champion.

    `client` talks to MLflow; `run_id` is the study's run, `description` the version's, cut at MLflow's length. No model
    of MLflow's own kinds is made of it: those hold pickles. The version points to the folder `source`.
    """
    if not client.search_registered_models(f"name = '{model}'"):
        client.create_registered_model(model, description="Winners of studies, newest last.")
    description = description[:MAX_DESCRIPTION]
    identity = {name: tags[name] for name in _LASTS}
    known = client.search_model_versions(f"name = '{model}'")
    same = next((version for version in known if identity.items() <= version.tags.items()), None)
    if same is None:
        same = client.create_model_version(model, source, run_id=run_id, tags=dict(tags), description=description)
    version = str(same.version)
    if same.description != description:
        client.update_model_version(model, version, description)
    for name, text in tags.items():
        if same.tags.get(name) != text:
            client.set_model_version_tag(model, version, name, text)
    if CHAMPION not in same.aliases:
        client.set_registered_model_alias(model, CHAMPION, version)
    return version
