"""One file a network: plain functional graphs that convert well."""
