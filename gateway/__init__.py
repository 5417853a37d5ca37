"""Every socket that is not Kafka's."""
