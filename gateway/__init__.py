"""Who asks: the REST API, live status and pages."""
