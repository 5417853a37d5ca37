"""What agents remember: folds of topics, all of them caches that can be thrown away and rebuilt."""
