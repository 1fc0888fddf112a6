"""The run directory: call log, traces, lock and writer."""
