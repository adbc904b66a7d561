"""Judging pulse waves: filters, heart rates and whether to trust them, scores, classical methods, published figures."""
