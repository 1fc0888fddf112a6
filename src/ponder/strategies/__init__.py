"""Ways to spend a budget on one problem, one file each."""
