"""`sweeper cluster`: the files that start Ray and a study on somebody's cluster. Nothing is submitted here."""
