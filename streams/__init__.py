"""What runs on Faust: the agents, the shell that they run in, and the pure domain that they call."""
