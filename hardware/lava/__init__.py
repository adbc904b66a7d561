"""Intel's Lava as the outside oracle, in a child process with a time limit."""
