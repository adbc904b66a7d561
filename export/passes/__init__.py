"""Graph passes: one idea a file, each a pure function from graph to graph."""
