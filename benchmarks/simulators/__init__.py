"""The emulator beside every other simulator that can be installed: same networks, same inputs, one run."""
