"""One short file an agent, in the order that a mail meets them: expand, route, send."""
