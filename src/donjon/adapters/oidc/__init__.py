"""Issuers of OpenID Connect: whose tokens say who calls."""
