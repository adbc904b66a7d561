"""The report: its schema, its pictures and its pages."""
