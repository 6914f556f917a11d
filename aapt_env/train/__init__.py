"""The stages and the one loop that runs them. Nothing here is imported by the world that plays."""
