"""Find the likely cause of a failure; loaded after a failure only."""
