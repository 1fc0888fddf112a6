"""What scores reasoning, one file each."""
