"""What a study searches, and Optuna behind the few words that it needs: ask, report, tell, and taking up what was left.

The only package that imports Optuna, and `space` does without. One process uses it, in one thread; several trials
may be running at once.
"""
