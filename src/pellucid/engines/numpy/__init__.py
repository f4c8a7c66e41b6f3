"""The reference engine: every equation evaluated as whole arrays."""
