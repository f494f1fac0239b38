"""What every part stands on: clock, ids, errors, event and route tables, configuration, logs,
tasks.
"""
