"""Descriptions of chips, a TOML file each."""
