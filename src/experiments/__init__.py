"""Experiments: many runs of `main.py`, planned, run side by side, continued after an interruption, summed up.

    setting    what was asked for: the command line and setting files
    sweep      values to try: grids and random search
    plan       the runs that follow from a setting
    state      what has become of each run, on the disk
    processes  a run as a process: started, found again, stopped
    capacity   how many runs the machine carries
    schedule   the loop that starts runs and takes their results
    board      the table of all runs, live or as lines
    outcome    the table of results, the report
    profiling  where the time of a run goes
"""
