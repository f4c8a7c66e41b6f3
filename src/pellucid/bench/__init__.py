"""What the compiler makes of a model, stage by stage, and how fast it is: `pellucid compile` and `pellucid bench`.

Measuring is apart from what is measured: `workloads` says what to run, `native` and `opponent` (PyTorch, if it is
installed) run it, `timing` takes turns and counts, `measure` puts these together, `table` prints.
"""
