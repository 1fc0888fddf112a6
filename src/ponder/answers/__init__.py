"""What an answer is: extraction and the key that it votes under."""
