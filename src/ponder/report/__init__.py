"""Tables, pictures and pages drawn from stored traces: pure functions that call no model."""
