"""Pure decisions of search: what to keep, what to choose."""
