"""Candidates in other programs' formats, in and out; and one study run on several machines."""
