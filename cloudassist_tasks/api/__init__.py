"""The HTTP endpoint: the vendor's wire in front of the operations."""
