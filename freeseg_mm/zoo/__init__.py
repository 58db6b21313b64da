"""Public weights: fetched, converted, and used by their names."""
