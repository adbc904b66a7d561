"""What systems share whose host generates images with a chip: counting, pricing, parts that survive a kill, files."""
