"""Is it still the same answer, and if not, where does it part?"""
