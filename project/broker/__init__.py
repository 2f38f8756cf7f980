"""Dramatiq's Redis broker, safe and fast; it knows neither Django nor rows."""
