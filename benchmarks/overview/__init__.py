"""One page over many reports: what it says as data, in words, and its views."""
