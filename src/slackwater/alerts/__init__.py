"""Alerts: messages about what a journal holds, to the services that the user names."""
