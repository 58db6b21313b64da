"""What a model costs: counts, MACs, seconds and bytes of its parts."""
