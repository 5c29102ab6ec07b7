"""Optuna behind the few words that a study needs: ask, report, tell, and taking up what an earlier run left.

The only package that imports Optuna. One process uses it, in one thread; several trials may be running at once.
"""

from sweeper.search.database import DATABASE_ERRORS, config_of, ranking_of
from sweeper.search.study import Left, Past, Search

__all__ = ["DATABASE_ERRORS", "Left", "Past", "Search", "config_of", "ranking_of"]
