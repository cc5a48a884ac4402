"""Many services from one INI file in one run."""
