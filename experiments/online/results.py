"""The tables of RESULTS.md, from the summaries of runs.

    python experiments/online/results.py RUNS

RUNS holds what run.sh wrote.  Runs that are missing are reported as such.  What the tables are
made of is copied to ``summaries/`` beside this file.
"""
