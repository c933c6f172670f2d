"""The server of the API and of the pages: Daphne with mutual TLS, made lean for the API."""
