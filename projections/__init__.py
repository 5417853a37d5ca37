"""SQL tables folded from the topics, and the only queries that read them."""
