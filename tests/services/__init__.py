"""The real services that tests run against, each started privately and ended without a trace."""
