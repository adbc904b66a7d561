"""From a torch module to NIR: tracing, canonical passes, quantisation, files."""
