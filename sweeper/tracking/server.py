"""An MLflow server: what is wrong with it is found before a study begins, and said in one line."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from packaging.version import InvalidVersion, Version

from foundation.errors import StudyError
from sweeper.tracking.files import local_folder

OLDEST: Final = Version("3.0")
"""Of servers. What studies show was tried with 3.17; before 3.0 a server has no page of machine learning's own."""
_SECONDS: Final = 10
"""How long a server may take for its first answer."""
_REFUSED: Final = (401, 403)
_CREDENTIALS: Final = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


def is_server(uri: str) -> bool:
    """Whether an address is an MLflow server's, and not a database's, a folder's or Databricks'."""
    return urlsplit(uri).scheme in ("http", "https")


def check_server(address: str, shown: str) -> None:
    """See whether an MLflow server of a fit version answers at `address` and lets us in; `shown` is how it is called.

    Raises:
        StudyError: it does not.
        MlflowException: nothing answers.
    """
    who: Any = get_default_host_creds  # neither is typed
    ask: Any = http_request
    answer = ask(who(address), "/version", "GET", max_retries=0, timeout=_SECONDS, raise_on_status=False)
    if answer.status_code in _REFUSED:
        raise StudyError(
            f"tracking.uri {shown} does not let this user in (HTTP {answer.status_code}); set {_CREDENTIALS}"
        )
    try:
        version = Version(answer.text.strip() if answer.status_code == 200 else "")
    except InvalidVersion:
        raise StudyError(
            f"tracking.uri {shown} is no MLflow server: {shown.rstrip('/')}/version answers with HTTP "
            f"{answer.status_code} and no version"
        ) from None
    if version < OLDEST:
        raise StudyError(f"tracking.uri {shown} is MLflow {version}; {OLDEST} or newer is needed")


def check_artifacts(location: str, address: str, shown: str, experiment: str) -> None:
    """Refuse an `experiment` whose files lie in a folder of the server's machine, which is another than this one.

    `location` is where its files go, `address` the server's, which is called `shown`.

    Raises:
        StudyError: they do.
    """
    folder = local_folder(location) if location.startswith("file:") else None
    if folder is None and not urlsplit(location).scheme:
        folder = Path(location)
    if folder is None or _is_this_machine(urlsplit(address).hostname or "") or folder.is_dir():
        return
    raise StudyError(
        f"tracking.uri {shown} keeps the files of experiment {experiment} in {folder}, a folder that is not on this "
        "machine; start the server with --serve-artifacts and --artifacts-destination, and name another "
        "tracking.experiment"
    )


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
