"""Tables, pictures and pages drawn from stored traces."""
